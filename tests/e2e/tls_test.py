"""The gateway by TLS: which certificate, what is spoken, redirects, and certificates that
are read again while connections are open. Keys belong to root alone, as on a server."""

import http.client
import json
import os
import pathlib
import re
import signal
import ssl
import subprocess
import tempfile
import unittest

from harness import PATIENCE, PROGRAM, Ebb, wait_until

ECHO = """
import json
def handle(request):
    return json.dumps({"headers": dict(request.headers), "body": len(request.body)})
"""
# Calls another function by the gateway that functions have.
CALLER = """
import os, urllib.request
def handle(request):
    ask = urllib.request.Request(os.environ["EBB_GATEWAY"] + "/",
                                 headers={"Host": "echo.default.localhost"})
    with urllib.request.urlopen(ask, timeout=20) as answer:
        return str(answer.status) + answer.read().decode()
"""
HOST = "echo.default.localhost"


class Certificates:
    """A folder of self-signed certificates."""

    def __init__(self, test):
        folder = tempfile.TemporaryDirectory(prefix="ebb-tls-")
        test.addClassCleanup(folder.cleanup) if isinstance(test, type) else test.addCleanup(
            folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def path(self, name):
        return str(self.folder / name)

    def make(self, name, *dns, common_name=None):
        """NAME.pem and NAME.key, for the DNS names."""
        names = ",".join("DNS:" + d for d in dns)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
             f"/CN={common_name or name}", "-addext", f"subjectAltName={names}",
             "-keyout", self.path(name + ".key"), "-out", self.path(name + ".pem")],
            check=True, capture_output=True)
        os.chmod(self.path(name + ".key"), 0o600)
        return self.path(name + ".pem")

    def expire(self, name):
        subprocess.run(
            ["openssl", "x509", "-in", self.path(name + ".pem"), "-signkey",
             self.path(name + ".key"), "-days", "-1", "-out", self.path(name + ".pem")],
            check=True, capture_output=True)

    def settings(self, *names, more=""):
        """Settings with the certificates of that order."""
        entries = "".join(f"- certificate: {self.path(n + '.pem')}\n  key: {self.path(n + '.key')}\n"
                          for n in names)
        file = self.folder / "ebb.yaml"
        file.write_text(f"https: 127.0.0.1:0\ncertificates:\n{entries}{more}")
        return str(file)


def s_client(ebb, *options, name=HOST):
    """What openssl says of one handshake."""
    return subprocess.run(
        ["openssl", "s_client", "-connect", "127.0.0.1:%d" % ebb.https[1],
         *(("-servername", name) if name else ("-noservername",)), *options],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        timeout=PATIENCE)


def presented(ebb, name=HOST):
    """The common name of the certificate for that name."""
    said = s_client(ebb, name=name).stdout
    found = re.search(r"^subject=CN = (\S+)", said, re.M)
    return found and found[1]


def curl(ebb, certificate, *arguments, host=HOST, path="/"):
    """(status, body) by https."""
    url = f"https://{host}:{ebb.https[1]}{path}"
    result = subprocess.run(
        ["curl", "-sS", "--cacert", certificate, "--resolve",
         f"{host}:{ebb.https[1]}:127.0.0.1", "-w", "\n%{http_code}", *arguments, url],
        capture_output=True, text=True, timeout=PATIENCE)
    if result.returncode != 0:
        raise AssertionError(f"curl {url}: {result.stderr}")
    body, status = result.stdout.rsplit("\n", 1)
    return int(status), body


class Secure(http.client.HTTPConnection):
    def connect(self):
        super().connect()
        self.sock = self.wrap(self.sock)


def secure_connection(ebb, certificate, host=HOST, trust=None, session=None):
    """Of http.client; trusts the certificate, which is for `host`, or as `trust` says."""
    trust = trust or ssl.create_default_context(cafile=certificate)
    connection = Secure(*ebb.https, timeout=PATIENCE)
    connection.wrap = lambda sock: trust.wrap_socket(sock, server_hostname=host, session=session)
    connection.connect()
    return connection


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates(cls)
        cls.first = cls.certificates.make("first", "first.test")
        cls.wildcard = cls.certificates.make("wildcard", "*.default.localhost")
        cls.exact = cls.certificates.make("exact", "exact.default.localhost", "other.test")
        cls.access_log = cls.certificates.folder / "access.log"
        os.chmod(cls.certificates.folder, 0o755)
        cls.ebb = Ebb("--config", cls.certificates.settings(
            "first", "wildcard", "exact", more=f"accessLog: {cls.access_log}\n")).__enter__()
        cls.addClassCleanup(cls.ebb.__exit__, None, None, None)
        cls.ebb.deploy("echo", ECHO)

    # --- Handshakes ---

    def test_the_name_chooses_the_certificate(self):
        for name, expected in (("exact.default.localhost", "exact"), ("OTHER.test", "exact"),
                               (HOST, "wildcard"), ("first.test", "first"),
                               ("a.b.default.localhost", "first"), ("unknown.test", "first"),
                               (None, "first")):
            self.assertEqual(presented(self.ebb, name), expected, name)

    def test_old_versions_are_refused(self):
        for version in ("-tls1", "-tls1_1"):
            said = s_client(self.ebb, version, "-cipher", "DEFAULT@SECLEVEL=0")
            self.assertIn("alert protocol version", said.stderr)
        for version, name in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
            self.assertIn(f"New, {name}, Cipher is", s_client(self.ebb, version).stdout)

    def test_protocols(self):
        self.assertIn("ALPN protocol: http/1.1", s_client(self.ebb, "-alpn", "x,http/1.1").stdout)
        self.assertIn("No ALPN negotiated", s_client(self.ebb).stdout)
        self.assertIn("alert no application protocol", s_client(self.ebb, "-alpn", "x").stderr)

    def test_http2(self):
        self.assertIn("ALPN protocol: h2", s_client(self.ebb, "-alpn", "http/1.1,h2").stdout)
        body = self.certificates.folder / "body"
        body.write_bytes(b"x" * (3 << 20))
        for flag, version in (("--http2", "2"), ("--http1.1", "1.1")):
            status, text = curl(self.ebb, self.wildcard, flag, "--data-binary", f"@{body}",
                                "-w", "\n%{http_version}\n%{http_code}")
            answer, spoken = text.rsplit("\n", 1)
            self.assertEqual((status, spoken), (200, version))
            self.assertEqual(json.loads(answer)["body"], 3 << 20)
            self.assertEqual(json.loads(answer)["headers"]["x-forwarded-proto"], "https")
        # What the handshake has not agreed on is not spoken.
        trust = ssl.create_default_context(cafile=self.wildcard)
        with secure_connection(self.ebb, None, trust=trust).sock as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertTrue(plain.recv(4096).startswith(b"HTTP/1.1 "))

    def test_sessions_are_resumed_where_that_keeps_secrets(self):
        trust = ssl.create_default_context(cafile=self.wildcard)
        for version, resumed in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, False)):
            trust.maximum_version = version
            session = None
            # More often than there are threads: all know the keys of the tickets.
            for _ in range(8):
                connection = secure_connection(self.ebb, None, trust=trust, session=session)
                self.assertEqual(connection.sock.session_reused, session is not None and resumed)
                answer = self.ebb.get("echo", connection=connection)
                self.assertEqual(answer.status, 200)
                session = connection.sock.session
                connection.close()

    def test_failures_are_counted_and_not_logged(self):
        before = self.ebb.metric("ebb_gateway_tls_failures_total")
        lines = len(self.ebb.log)
        for _ in range(5):
            s_client(self.ebb, "-alpn", "x")
        self.assertEqual(self.ebb.metric("ebb_gateway_tls_failures_total"), before + 5)
        self.assertEqual(self.ebb.log[lines:], [])

    # --- Requests ---

    def test_a_request(self):
        status, text = curl(self.ebb, self.wildcard, "-H", "X-Forwarded-Proto: gopher")
        self.assertEqual(status, 200)
        seen = {k.lower(): v for k, v in json.loads(text)["headers"].items()}
        self.assertEqual(seen["x-forwarded-proto"], "https")
        self.assertEqual(seen["x-forwarded-for"], "127.0.0.1")
        plain = json.loads(self.ebb.get("echo", headers={"X-Forwarded-Proto": "https"}).text)
        self.assertIn(("x-forwarded-proto", "http"),
                      [(k.lower(), v) for k, v in plain["headers"].items()])

        def logged():
            lines = [json.loads(l) for l in self.access_log.read_text().splitlines()]
            return ({l["tls"] for l in lines if "tls" in l} == {True}
                    and any("tls" not in l for l in lines))
        wait_until(logged, "lines of both in the access log")

    def test_bodies(self):
        connection = secure_connection(self.ebb, self.wildcard)
        for size in (0, 1, 16384, 3_000_000):
            answer = self.ebb.get("echo", method="POST", body=b"x" * size, connection=connection)
            self.assertEqual(json.loads(answer.text)["body"], size)
        connection.close()

    def test_plain_http_is_told_what_to_do(self):
        connection = http.client.HTTPConnection(*self.ebb.https, timeout=PATIENCE)
        answer = self.ebb.get("echo", connection=connection)
        self.assertEqual(answer.status, 400)
        self.assertIn("https://", answer.text)

    def test_the_announcement(self):
        self.assertIn("  https       https://127.0.0.1:%d\n" % self.ebb.https[1], self.ebb.log)


class Redirect(unittest.TestCase):
    def test_plain_requests_are_sent_to_https(self):
        certificates = Certificates(self)
        wildcard = certificates.make("wildcard", "*.default.localhost")
        with Ebb("--config", certificates.settings("wildcard", more="httpsRedirect: true\n")) as ebb:
            deployed = ebb.deploy("echo", ECHO)
            ebb.deploy("caller", CALLER)
            # What is shown is where it is reached; other functions go on calling as before.
            url = f"https://{HOST}:{ebb.https[1]}"
            status = json.loads(ebb.run("get", "ksvc", "echo", "-o", "json").stdout)["status"]
            self.assertEqual(status["url"], url)
            self.assertEqual(status["address"]["url"], f"http://{HOST}:{ebb.gateway[1]}")
            shown = next(l for l in deployed.stdout.splitlines() if l.startswith("curl "))
            self.assertEqual(shown, f"curl --resolve {HOST}:{ebb.https[1]}:127.0.0.1 {url}/")
            called = subprocess.run([*shown.split(), "--cacert", wildcard, "-sS"],
                                    capture_output=True, text=True)
            self.assertEqual(called.returncode, 0, called.stderr)
            answer = ebb.get("echo", "/a%20b?c=d", method="POST", body=b"12345")
            self.assertEqual(answer.status, 308)
            self.assertEqual(answer.headers["Location"],
                             f"https://{HOST}:{ebb.https[1]}/a%20b?c=d")
            self.assertEqual(ebb.get("unknown").status, 404)
            status, text = curl(ebb, wildcard)
            self.assertEqual(status, 200)
            # A client that follows arrives, with its body.
            followed = subprocess.run(
                ["curl", "-sSL", "--cacert", wildcard, "--resolve",
                 f"{HOST}:{ebb.https[1]}:127.0.0.1", "--resolve",
                 f"{HOST}:{ebb.gateway[1]}:127.0.0.1", "-d", "12345",
                 f"http://{HOST}:{ebb.gateway[1]}/"], capture_output=True, text=True)
            self.assertEqual(json.loads(followed.stdout)["body"], 5, followed.stderr)
            # Behind something that ends TLS itself, a redirect would come back for ever.
            self.assertEqual(ebb.get("echo", headers={"X-Forwarded-Proto": "https"}).status, 200)
            # Functions call each other as before.
            status, text = curl(ebb, wildcard, host="caller.default.localhost")
            self.assertEqual(status, 200)
            self.assertTrue(text.startswith("200{"), text)
            self.assertGreater(ebb.metric("ebb_requests_unrouted_total", reason="https_redirect"), 1)
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])


class Reload(unittest.TestCase):
    def setUp(self):
        self.certificates = Certificates(self)

    def reload(self, ebb, expected):
        """Reads the settings again; waits for a line of the log."""
        lines = len(ebb.log)
        ebb.signal(signal.SIGHUP)
        wait_until(lambda: any(expected in line for line in ebb.log[lines:]), expected)
        return "".join(ebb.log[lines:])

    def test_new_certificates_and_wrong_ones(self):
        certificates = self.certificates
        old = certificates.make("wildcard", "*.default.localhost", common_name="old")
        os.rename(old, certificates.path("old.pem"))
        os.symlink("old.pem", old)
        with Ebb("--config", certificates.settings("wildcard")) as ebb:
            ebb.deploy("echo", ECHO)
            self.assertEqual(presented(ebb), "old")
            open_one = secure_connection(ebb, old)
            self.assertEqual(ebb.get("echo", connection=open_one).status, 200)
            socket_before = open_one.sock

            # New files of the same names.
            os.unlink(old)
            new = certificates.make("wildcard", "*.default.localhost", common_name="new")
            certificates.make("second", "second.test")
            certificates.settings("wildcard", "second")
            self.reload(ebb, "the settings were read again")
            self.assertEqual(presented(ebb), "new")
            self.assertEqual(presented(ebb, "second.test"), "second")
            self.assertEqual(curl(ebb, new)[0], 200)
            self.assertEqual(ebb.get("echo", connection=open_one).status, 200)
            self.assertIs(open_one.sock, socket_before)
            open_one.close()

            # Wrong ones change nothing, and are named.
            certificates.make("wildcard2", "x.test")
            os.rename(certificates.path("wildcard2.key"), certificates.path("wildcard.key"))
            said = self.reload(ebb, "the settings stay as they are: certificates[0]: ")
            self.assertIn(certificates.path("wildcard.key"), said)
            self.assertIn("does not belong", said)
            pathlib.Path(certificates.path("wildcard.pem")).write_text("nothing\n")
            said = self.reload(ebb, "wildcard.pem: no certificate in it")
            os.unlink(certificates.path("wildcard.pem"))
            said = self.reload(ebb, "the settings stay as they are: certificates[0]: ")
            self.assertIn(certificates.path("wildcard.pem"), said)
            self.assertEqual(presented(ebb), "new")

            # A front that takes the place of a dead one has what was last right.
            front = ebb.front()
            os.kill(front, signal.SIGKILL)
            wait_until(lambda: ebb.front() != front, "another front")
            self.assertEqual(presented(ebb), "new")
            self.assertEqual(presented(ebb, "second.test"), "second")

            # It can be told of newer ones, too. An expired one is worth a warning.
            certificates.make("wildcard", "*.default.localhost", common_name="third")
            certificates.expire("wildcard")
            said = self.reload(ebb, "the settings were read again")
            self.assertRegex(said, r"wildcard\.pem has expired \(")
            self.assertEqual(presented(ebb), "third")

            # One that was told nothing, since it died just then, is no loss.
            certificates.make("wildcard", "*.default.localhost", common_name="fourth")
            os.kill(ebb.front(), signal.SIGKILL)
            ebb.signal(signal.SIGHUP)
            wait_until(lambda: presented(ebb) == "fourth", "the fourth certificate")
            self.assertEqual(ebb.stop(), 0)
            self.assertEqual(ebb.leftovers(), [])

    def test_what_is_in_flight_is_answered_at_the_end(self):
        certificate = self.certificates.make("wildcard", "*.default.localhost")
        with Ebb("--config", self.certificates.settings("wildcard")) as ebb:
            ebb.deploy("echo", ECHO)
            connection = secure_connection(ebb, certificate)
            connection.putrequest("POST", "/", skip_host=True)
            connection.putheader("Host", HOST)
            connection.putheader("Content-Length", "10")
            connection.endheaders(b"12345")
            wait_until(lambda: ebb.metric("ebb_requests_in_flight") == 1, "the request")
            ebb.signal(signal.SIGTERM)
            wait_until(lambda: any("draining" in line for line in ebb.log), "the drain")
            wait_until(lambda: presented(ebb) is None, "nobody else is let in")
            connection.send(b"67890")
            answer = connection.getresponse()
            self.assertEqual(json.loads(answer.read())["body"], 10)
            connection.close()
            self.assertEqual(ebb.wait(), 0)


class Start(unittest.TestCase):
    def setUp(self):
        self.certificates = Certificates(self)

    def refused(self, *options):
        result = subprocess.run(
            [PROGRAM, "up", "--data", self.certificates.path("data"), "--gateway", "127.0.0.1:0",
             "--api", "127.0.0.1:0", *options], text=True, capture_output=True, timeout=60)
        self.assertNotEqual(result.returncode, 0)
        self.assertNotIn("is up", result.stderr)
        return result.stderr

    def test_wrong_files_stop_it(self):
        certificates = self.certificates
        settings = certificates.settings("one")
        self.assertIn(certificates.path("one.pem") + ": ", self.refused("--config", settings))
        certificates.make("one", "one.test")
        os.unlink(certificates.path("one.key"))
        self.assertIn(certificates.path("one.key"), self.refused("--config", settings))
        certificates.make("two", "two.test")
        os.rename(certificates.path("two.key"), certificates.path("one.key"))
        self.assertIn("the key does not belong to the certificate: name two that were issued "
                      "together", self.refused("--config", settings))
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-aes256", "-pass", "pass:secret", "-out",
                        certificates.path("one.key")], check=True, capture_output=True)
        self.assertIn("one.key: the key has a pass phrase", self.refused("--config", settings))

    def test_wrong_settings_stop_it(self):
        self.assertIn("certificates: https needs one", self.refused("--https", "127.0.0.1:0"))
        self.certificates.make("one", "one.test")
        settings = self.certificates.settings("one")
        text = pathlib.Path(settings).read_text()
        pathlib.Path(settings).write_text(text.replace("key:", "kye:"))
        said = self.refused("--config", settings)
        self.assertIn("certificates[0].key: name a PEM file", said)
        self.assertIn("certificates[0].kye: unknown key", said)

    def test_the_address_by_a_flag(self):
        self.certificates.make("one", "*.default.localhost")
        settings = self.certificates.settings("one", more="httpsRedirect: true\n")
        text = pathlib.Path(settings).read_text()
        pathlib.Path(settings).write_text(text.replace("https: 127.0.0.1:0\n", ""))
        self.assertIn("httpsRedirect: there is no https", self.refused("--config", settings))
        with Ebb("--config", settings, "--https", "127.0.0.1:0") as ebb:
            self.assertEqual(presented(ebb), "one")


if __name__ == "__main__":
    unittest.main(verbosity=2)
