/* Proton C doing the cases of benches/support, from the same octets.
 *
 *   proton steps ACTION FILE STEPS        prints how many messages a step handles and does so many steps in measured_step
 *   proton time ACTION FILE               prints nanoseconds per message
 *   proton octets ACTION FILE             writes what it encodes to the standard output, to be checked
 *   proton allocations ACTION FILE        prints allocations per message, where compiled with COUNT_ALLOCATIONS
 *
 * Frames are taken as a generic tree (pn_data_t), since their decoders are not public, and their values are not read.
 */
#include <proton/codec.h>
#include <proton/message.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PLACES 8
#define WARM_UP 20

static size_t allocations;

#ifdef COUNT_ALLOCATIONS
/* These stand before those of the C library, which has them by these names as well. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *place, size_t size);

void *malloc(size_t size) { allocations++; return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { allocations++; return __libc_calloc(count, size); }
void *realloc(void *place, size_t size) { allocations++; return __libc_realloc(place, size); }
#endif

/* The compiler has to believe that a value is used. */
#define USE(value) do { __typeof__(value) taken_ = (value); __asm__ volatile("" : : "r,m"(taken_) : "memory"); } while (0)

static void demand(bool that, const char *what) {
  if (!that) {
    fprintf(stderr, "proton: %s\n", what);
    exit(1);
  }
}

static char *octets[PLACES];
static size_t size;
static pn_message_t *message;
static pn_data_t *tree;
static char *payload;
static size_t payload_size;
static char keys[50][16];
static char *out;
static size_t out_capacity;

static void read_file(const char *path) {
  FILE *file = fopen(path, "rb");
  demand(file != NULL, "no such file");
  fseek(file, 0, SEEK_END);
  size = (size_t)ftell(file);
  rewind(file);
  for (size_t offset = 0; offset < PLACES; offset++) {
    char *buffer = NULL;
    demand(posix_memalign((void **)&buffer, 64, size + 64) == 0, "no memory");
    octets[offset] = buffer + offset;
  }
  demand(fread(octets[0], 1, size, file) == size, "the file cannot be read");
  for (size_t offset = 1; offset < PLACES; offset++) memcpy(octets[offset], octets[0], size);
  fclose(file);
  out_capacity = size + 1024;
  out = malloc(out_capacity);
}

static void use_value(pn_data_t *data) {
  switch (pn_data_type(data)) {
    case PN_STRING: USE(pn_data_get_string(data).start); break;
    case PN_SYMBOL: USE(pn_data_get_symbol(data).start); break;
    case PN_BINARY: USE(pn_data_get_binary(data).start); break;
    case PN_BOOL: USE(pn_data_get_bool(data)); break;
    case PN_INT: USE(pn_data_get_int(data)); break;
    case PN_UINT: USE(pn_data_get_uint(data)); break;
    case PN_LONG: USE(pn_data_get_long(data)); break;
    case PN_ULONG: USE(pn_data_get_ulong(data)); break;
    case PN_DOUBLE: USE(pn_data_get_double(data)); break;
    case PN_TIMESTAMP: USE(pn_data_get_timestamp(data)); break;
    case PN_UUID: USE(pn_data_get_uuid(data).bytes[0]); break;
    default: demand(false, "a type that is not expected");
  }
}

static void use_map(pn_data_t *data) {
  pn_data_rewind(data);
  if (!pn_data_next(data)) return;
  demand(pn_data_type(data) == PN_MAP, "no map");
  pn_data_enter(data);
  while (pn_data_next(data)) use_value(data);
  pn_data_exit(data);
}

static void decode_message(pn_message_t *into, const char *place) {
  demand(pn_message_decode(into, place, size) == 0, "no message");
}

static void read_message(const char *place) {
  decode_message(message, place);
  USE(pn_message_is_durable(message));
  USE(pn_message_get_id(message).u.as_bytes.start);
  USE(pn_message_get_user_id(message).start);
  USE(pn_message_get_address(message));
  USE(pn_message_get_subject(message));
  USE(pn_message_get_reply_to(message));
  USE(pn_message_get_correlation_id(message).u.as_bytes.start);
  USE(pn_message_get_content_type(message));
  USE(pn_message_get_content_encoding(message));
  USE(pn_message_get_expiry_time(message));
  USE(pn_message_get_creation_time(message));
  USE(pn_message_get_group_id(message));
  USE(pn_message_get_group_sequence(message));
  USE(pn_message_get_reply_to_group_id(message));
  use_map(pn_message_properties(message));
  pn_data_t *body = pn_message_body(message);
  pn_data_rewind(body);
  while (pn_data_next(body)) {
    pn_bytes_t data = pn_data_get_binary(body);
    USE(data.start[0]);
    USE(data.start[data.size - 1]);
  }
}

static void read_map(const char *place) {
  decode_message(message, place);
  use_map(pn_message_body(message));
}

static void own_message(const char *place) {
  pn_message_t *own = pn_message();
  decode_message(own, place);
  pn_message_free(own);
}

static size_t encode_message(void) {
  size_t written = out_capacity;
  demand(pn_message_encode(message, out, &written) == 0, "it cannot be encoded");
  USE(out);
  return written;
}

static pn_bytes_t text(const char *start) { return pn_bytes(strlen(start), start); }

static void build_message(void) {
  pn_message_clear(message);
  pn_message_set_inferred(message, true);
  pn_message_set_durable(message, true);
  pn_msgid_t id = {.type = PN_STRING, .u.as_bytes = text("1234567890123456789")};
  pn_message_set_id(message, id);
  pn_message_set_address(message, "queue/a1x/consumer-group-1");
  pn_data_t *data = pn_message_properties(message);
  pn_data_put_map(data);
  pn_data_enter(data);
  pn_data_put_string(data, text("topic"));
  pn_data_put_string(data, text("/a1x/dev1/thing/event/property/post"));
  pn_data_put_string(data, text("messageId"));
  pn_data_put_string(data, text("1234567890123456789"));
  pn_data_put_string(data, text("generateTime"));
  pn_data_put_long(data, 1700000000000);
  pn_data_put_string(data, text("qos"));
  pn_data_put_int(data, 0);
  pn_data_exit(data);
  pn_data_put_binary(pn_message_body(message), pn_bytes(256, octets[0] + size - 256));
}

static void build_map(void) {
  pn_message_clear(message);
  pn_data_t *data = pn_message_body(message);
  pn_data_put_map(data);
  pn_data_enter(data);
  for (uint32_t n = 0; n < 50; n++) {
    pn_uuid_t uuid;
    pn_data_put_string(data, pn_bytes(11, keys[n]));
    switch (n % 10) {
      case 0: pn_data_put_string(data, text("a value of ordinary length")); break;
      case 1: pn_data_put_long(data, -1700000000000); break;
      case 2: pn_data_put_uint(data, n); break;
      case 3: pn_data_put_bool(data, n % 20 == 3); break;
      case 4: pn_data_put_double(data, n / 3.0); break;
      case 5: pn_data_put_timestamp(data, 1700000000000); break;
      case 6: pn_data_put_ulong(data, (uint64_t)n << 32); break;
      case 7: memset(uuid.bytes, 7, 16); pn_data_put_uuid(data, uuid); break;
      case 8: pn_data_put_symbol(data, text("a-symbol")); break;
      default: pn_data_put_binary(data, pn_bytes(20, "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t")); break;
    }
  }
  pn_data_exit(data);
}

static void decode_frame(const char *place) {
  uint32_t head;
  memcpy(&head, place, 4);
  demand(__builtin_bswap32(head) == size && place[4] == 2, "no frame");
  pn_data_clear(tree);
  ssize_t used = pn_data_decode(tree, place + 8, size - 8);
  demand(used > 0, "no performative");
  USE(place + 8 + used);
}

static size_t encode_frame(void) {
  ssize_t performative = pn_data_encode(tree, out + 8, out_capacity - 8);
  demand(performative > 0, "it cannot be encoded");
  memcpy(out + 8 + performative, payload, payload_size);
  size_t all = 8 + (size_t)performative + payload_size;
  uint32_t head[2] = {__builtin_bswap32((uint32_t)all), 2};
  memcpy(out, head, 8);
  USE(out);
  return all;
}

enum action { READ, READ_MAP, OWN, ENCODE, BUILD, BUILD_MAP, DECODE_FRAME, ENCODE_FRAME, NONE };
static const char *const names[] = {"read", "read-map", "own", "encode", "build", "build-map", "decode-frame", "encode-frame"};
static enum action action;

static unsigned units(void) { return action == READ || action == READ_MAP || action == OWN || action == DECODE_FRAME ? PLACES : 1; }

__attribute__((noinline)) void measured_step(void) {
  switch (action) {
    case READ: for (int n = 0; n < PLACES; n++) read_message(octets[n]); break;
    case READ_MAP: for (int n = 0; n < PLACES; n++) read_map(octets[n]); break;
    case OWN: for (int n = 0; n < PLACES; n++) own_message(octets[n]); break;
    case DECODE_FRAME: for (int n = 0; n < PLACES; n++) decode_frame(octets[n]); break;
    case ENCODE: encode_message(); break;
    case BUILD: build_message(); encode_message(); break;
    case BUILD_MAP: build_map(); encode_message(); break;
    case ENCODE_FRAME: encode_frame(); break;
    default: break;
  }
}

static void prepare(void) {
  message = pn_message();
  tree = pn_data(16);
  for (int n = 0; n < 50; n++) snprintf(keys[n], sizeof keys[n], "property-%02d", n);
  if (action == ENCODE_FRAME) {
    ssize_t used = pn_data_decode(tree, octets[0] + 8, size - 8);
    demand(used > 0, "no performative");
    payload = octets[0] + 8 + used;
    payload_size = size - 8 - (size_t)used;
  } else if (action == ENCODE) {
    decode_message(message, octets[0]);
  } else if (action == BUILD) {
    build_message();
  } else if (action == BUILD_MAP) {
    build_map();
  }
  for (int n = 0; n < WARM_UP; n++) measured_step();
}

static double nanoseconds(unsigned long steps) {
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (unsigned long n = 0; n < steps; n++) measured_step();
  clock_gettime(CLOCK_MONOTONIC, &end);
  return (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
}

int main(int count, char **arguments) {
  demand(count >= 4, "proton steps|time|allocations ACTION FILE [STEPS]");
  while (action < NONE && strcmp(names[action], arguments[2]) != 0) action++;
  demand(action < NONE, "no such action");
  read_file(arguments[3]);
  prepare();
  if (strcmp(arguments[1], "steps") == 0) {
    demand(count == 5, "how many steps?");
    unsigned long steps = strtoul(arguments[4], NULL, 10);
    printf("%u\n", units());
    fflush(stdout);
    for (unsigned long n = 0; n < steps; n++) measured_step();
  } else if (strcmp(arguments[1], "octets") == 0) {
    fwrite(out, 1, action == ENCODE_FRAME ? encode_frame() : encode_message(), stdout);
  } else if (strcmp(arguments[1], "time") == 0) {
    unsigned long steps = 1;
    while (nanoseconds(steps) < 4e6) steps *= 2;
    double least = nanoseconds(steps);
    for (int n = 1; n < 15; n++) {
      double found = nanoseconds(steps);
      if (found < least) least = found;
    }
    printf("%f\n", least / (double)steps / units());
  } else {
    allocations = 0;
    for (int n = 0; n < 200; n++) measured_step();
    printf("%f\n", (double)allocations / 200 / units());
  }
  return 0;
}
