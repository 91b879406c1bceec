"""The sample program of the IoT Platform's vendor, on Debian's python3-qpid-proton. README.md beside this file tells its contract."""

import base64
import hashlib
import hmac
import os
import re
import sys
import time

from proton import SSLDomain
from proton.handlers import MessagingHandler, Release
from proton.reactor import Container


def credentials(key, secret, group, instance, client_id, timestamp):
    """User name and password of the mode aksign with hmacsha1."""
    user = (
        f"{client_id}|authMode=aksign,signMethod=hmacsha1,timestamp={timestamp},authId={key},"
        f"iotInstanceId={instance},consumerGroupId={group}|"
    )
    to_sign = f"authId={key}&timestamp={timestamp}"
    password = base64.b64encode(hmac.new(secret.encode(), to_sign.encode(), hashlib.sha1).digest()).decode()
    return user, password


def one_line(body):
    text = bytes(body).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def say(line):
    print(line, flush=True)


class AmqpClient(MessagingHandler):
    def __init__(self, settings):
        super().__init__()
        self.settings = settings
        self.wanted = int(settings.get("COUNT", 0))
        self.received = 0
        self.connection = self.timer = None
        self.connected = self.ended = False

    def on_start(self, event):
        settings = self.settings
        domain = SSLDomain(SSLDomain.MODE_CLIENT)
        domain.set_trusted_ca_db(settings["CA"])
        domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
        user, password = credentials(
            settings["ACCESS_KEY_ID"],
            settings["ACCESS_KEY_SECRET"],
            settings["CONSUMER_GROUP"],
            settings.get("INSTANCE_ID", ""),
            settings.get("CLIENT_ID", "vendor-client"),
            settings.get("TIMESTAMP") or int(time.time() * 1000),
        )
        more = {"max_frame_size": int(settings["MAX_FRAME_SIZE"])} if "MAX_FRAME_SIZE" in settings else {}
        if "HOSTNAME" in settings:
            more["virtual_host"] = settings["HOSTNAME"]
        self.connection = event.container.connect(
            settings["URL"],
            user=user,
            password=password,
            heartbeat=float(settings.get("HEARTBEAT", 60)),
            ssl_domain=domain,
            reconnect=False,
            **more,
        )
        if "DURATION" in settings:
            self.timer = event.container.schedule(float(settings["DURATION"]), self)

    def on_connection_opened(self, event):
        self.connected = True
        say(f"connection opened: {event.connection.hostname}")
        event.container.create_receiver(event.connection)

    def on_connection_closed(self, event):
        self.lost(event, "connection closed")

    def on_connection_error(self, event):
        self.lost(event, f"connection error: {event.connection.remote_condition}")

    def on_transport_error(self, event):
        self.lost(event, f"transport error: {event.transport.condition}")

    def on_message(self, event):
        if self.ended:
            raise Release()
        message = event.message
        topic, message_id = message.properties.get("topic"), message.properties.get("messageId")
        say(f"receive message: message_id={message_id}, topic={topic}, content={one_line(message.body)}")
        self.received += 1
        if self.received == self.wanted:
            self.end(event)

    def on_timer_task(self, event):
        self.end(event)

    def lost(self, event, line):
        if not self.ended:
            self.connected = False
            say(line)
            self.end(event)

    def end(self, event):
        self.ended = True
        say(f"end: received={self.received} connected={'yes' if self.connected else 'no'}")
        self.connection.close()
        if self.timer:
            self.timer.cancel()


def main():
    prefix = "AMQP10_PEER_"
    client = AmqpClient({name[len(prefix):]: value for name, value in os.environ.items() if name.startswith(prefix)})
    Container(client).run()
    sys.exit(not (client.connected and client.received >= client.wanted))


if __name__ == "__main__":
    main()
