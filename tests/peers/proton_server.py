"""An AMQP 1.0 server made with Qpid Proton, to receive from. README.md beside this file tells its contract."""

import argparse
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading

from proton import SASL, Delivery, Message, SSLDomain, Terminus, int32
from proton.handlers import MessagingHandler
from proton.reactor import Container

BODY_SIZES = [0, 256, 70_000, 300_000]
# How often the server looks whether it is asked to end, in seconds.
LOOK = 0.05
OUTCOMES = {
    Delivery.ACCEPTED: "accepted",
    Delivery.REJECTED: "rejected",
    Delivery.RELEASED: "released",
    Delivery.MODIFIED: "modified",
}


def message(index):
    size = BODY_SIZES[index % len(BODY_SIZES)]
    turn = bytes((index + octet) % 251 for octet in range(251))
    return Message(
        body=(turn * (size // len(turn) + 1))[:size],
        inferred=True,  # one data section; without it, bytes become an amqp-value
        properties={
            "topic": f"/peer/device-{index % 3}/user/data",
            "messageId": f"peer-{index}",
            "generateTime": 1_573_489_088_171 + index,
            "qos": int32(index % 2),
        },
    )


def write_user(folder, user, password):
    """Makes `folder` a configuration of Cyrus SASL that knows one user.

    An entry of the sasldb is named by user and realm. Proton tells Cyrus no realm, so the host's own name is the realm,
    whatever hostname the client's sasl-init carries. Cyrus asks for the canonical form of that name, which may have a
    domain where the plain one has none: both get an entry. The entry is written by saslpasswd2, which takes the user name
    as one argument, so its `|`, `,` and `=` need no quoting; only `@` would be read as the beginning of a realm.
    """
    name = socket.gethostname()
    try:
        canonical = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)[0][3]
    except OSError:
        canonical = name
    saslpasswd2 = shutil.which("saslpasswd2", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if saslpasswd2 is None:
        raise SystemExit("saslpasswd2 is missing: run tests/peers/install")
    database = os.path.join(folder, "sasldb2")
    for realm in {name, name.lower(), canonical.lower()}:
        subprocess.run([saslpasswd2, "-c", "-p", "-f", database, "-u", realm, user], input=password.encode(), check=True)
    with open(os.path.join(folder, "amqp10-peer.conf"), "w") as file:
        file.write(f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {database}\nmech_list: PLAIN\n")


class Server(MessagingHandler):
    def __init__(self, arguments, sasl_folder):
        super().__init__(prefetch=0, auto_settle=False)
        self.arguments = arguments
        self.sasl_folder = sasl_folder
        self.sender = None
        self.open = 0  # deliveries sent and neither settled nor given an outcome
        self.counts = dict(sent=0, accepted=0, rejected=0, released=0, modified=0, settled=0, refused=0, sasl_user=None)
        self.reported = False
        self.asked_to_end = False

    def report(self):
        if not self.reported:
            self.reported = True
            print(json.dumps(self.counts), flush=True)

    def ask_to_end(self, *_):
        # Only noted: an exception raised by a signal is lost if it comes while Proton calls back from C.
        self.asked_to_end = True

    def on_timer_task(self, event):
        if self.asked_to_end:
            raise SystemExit(0)
        event.container.schedule(LOOK, self)

    def on_start(self, event):
        event.container.schedule(LOOK, self)
        domain = SSLDomain(SSLDomain.MODE_SERVER)
        domain.set_credentials(self.arguments.certificate, self.arguments.key, None)
        acceptor = event.container.listen(f"127.0.0.1:{self.arguments.port}", ssl_domain=domain)
        # Proton does not tell which port it was given; its socket does.
        with socket.socket(fileno=os.dup(acceptor._selectable.fileno())) as listener:
            print("listening", listener.getsockname()[1], flush=True)

    def on_connection_bound(self, event):
        sasl = event.transport.sasl()
        sasl.config_path(self.sasl_folder)
        sasl.config_name("amqp10-peer")
        sasl.allowed_mechs("PLAIN")
        event.transport.require_auth(True)
        event.transport.max_frame_size = self.arguments.max_frame_size

    def on_connection_opening(self, event):
        event.connection.container = "proton-server"

    def on_link_opening(self, event):
        if event.link.is_sender:
            event.link.source.copy(event.link.remote_source)
            event.link.source.type = Terminus.SOURCE  # Proton takes a source without address for none
            if self.sender is None:
                self.sender = event.link
                self.counts["sasl_user"] = event.transport.user

    def on_sendable(self, event):
        while event.link == self.sender and event.link.credit and self.counts["sent"] < self.arguments.count:
            event.link.send(message(self.counts["sent"]))
            self.counts["sent"] += 1
            self.open += 1

    def on_delivery(self, event):
        delivery = event.delivery
        outcome = OUTCOMES.get(delivery.remote_state)
        if not delivery.link.is_sender or not (outcome or delivery.settled):
            return
        if outcome:
            self.counts[outcome] += 1
        if delivery.settled:
            self.counts["settled"] += 1
        delivery.settle()
        self.open -= 1
        if self.open == 0 and self.counts["sent"] == self.arguments.count:
            self.report()

    def on_transport_closed(self, event):
        if event.transport.sasl().outcome not in (None, SASL.OK):
            self.counts["refused"] += 1
        if self.sender is not None and event.connection == self.sender.connection:
            event.container.stop()


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--max-frame-size", type=int, default=65536)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="amqp10-peer-") as folder:
        write_user(folder, os.environ["AMQP10_PEER_USER"], os.environ["AMQP10_PEER_PASSWORD"])
        server = Server(arguments, folder)

        signal.signal(signal.SIGTERM, server.ask_to_end)
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            threading.Thread(target=end_with_standard_input, daemon=True).start()
        try:
            Container(server).run()
        finally:
            server.report()


main()
