# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests, made by the openssl command when they are wanted: none is kept anywhere.

    ca = Authority(folder)                          # self-signed; Authority(folder, "sub", parent=ca): by another
    server = ca.certificate("server")               # .cert, .key: paths; the certificate's file has the chain too
    ca.certificate("old", days=(-10, -1))           # from and to, in days from now
    ca.revocations([client])                        # path of a list that revokes these

By hand: certificates.py FOLDER makes an authority, a server's and a client's certificate for localhost.
"""

import collections
import datetime
import os
import subprocess
import sys
import threading

Certificate = collections.namedtuple("Certificate", "cert key")

KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["-newkey", "rsa:2048"]}

CONFIG = """
[ca]
default_ca = us
[us]
database = {folder}/index
new_certs_dir = {folder}
serial = {folder}/serial
crlnumber = {folder}/number
certificate = {cert}
private_key = {key}
default_md = sha256
default_days = 30
default_crl_days = 30
unique_subject = no
policy = any
preserve = yes
[any]
organizationName = optional
commonName = optional
[req]
distinguished_name = name
prompt = no
[name]
"""

AUTHORITY = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n" \
            "subjectKeyIdentifier = hash\n"
END = "basicConstraints = CA:FALSE\nkeyUsage = digitalSignature, keyEncipherment\n" \
      "extendedKeyUsage = serverAuth, clientAuth\n"


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, check=False)
    if done.returncode != 0:
        raise AssertionError("openssl %s: %s" % (" ".join(arguments), done.stdout.decode("utf-8", "replace")))
    return done.stdout


def moment(days):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return when.strftime("%Y%m%d%H%M%SZ")


class Authority:
    def __init__(self, folder, name="ca", parent=None, key="ec"):
        self.folder, self.parent = os.path.join(folder, name), parent
        self.lock = threading.Lock()
        self.made = 0
        os.makedirs(self.folder)
        self.cert, self.key = self.path("authority.pem"), self.path("authority.key")
        for empty, text in (("index", ""), ("serial", "1000\n"), ("number", "01\n"), ("authority.ext", AUTHORITY),
                            ("config", CONFIG.format(folder=self.folder, cert=self.cert, key=self.key))):
            with open(self.path(empty), "w", encoding="utf-8") as out:
                out.write(text)
        if parent:
            made = parent.certificate(name, subject="/CN=" + name, key=key, extensions=AUTHORITY, with_chain=False)
            os.replace(made.cert, self.cert)
            os.replace(made.key, self.key)
        else:
            openssl("req", "-x509", *KEYS[key], "-nodes", "-config", self.path("config"), "-subj", "/CN=" + name,
                    "-days", "30", "-addext", AUTHORITY.splitlines()[0], "-addext", AUTHORITY.splitlines()[1],
                    "-keyout", self.key, "-out", self.cert)

    def path(self, name):
        return os.path.join(self.folder, name)

    def certificate(self, name, subject=None, san="DNS:localhost,IP:127.0.0.1", days=None, key="ec", extensions=END,
                    with_chain=True):
        """A key and a certificate for it, in new files."""
        with self.lock:
            self.made += 1
            base = self.path("%s-%d" % (name, self.made))
            made = Certificate(base + ".pem", base + ".key")
            with open(base + ".ext", "w", encoding="utf-8") as out:
                out.write(extensions + ("" if extensions == AUTHORITY or not san else "subjectAltName = %s\n" % san))
            subject = subject or "/CN=" + name
            openssl("req", "-new", *KEYS[key], "-nodes", "-config", self.path("config"), "-utf8", "-subj", subject,
                    "-keyout", made.key, "-out", base + ".csr")
            dates = ["-startdate", moment(days[0]), "-enddate", moment(days[1])] if days else []
            openssl("ca", "-batch", "-notext", "-config", self.path("config"), "-utf8", "-in", base + ".csr",
                    "-out", made.cert, "-extfile", base + ".ext", *dates)
        if with_chain and self.parent:
            with open(made.cert, "a", encoding="ascii") as out:
                out.write(self.chain())
        return made

    def chain(self):
        """The certificates from this authority up to the one below the root."""
        if not self.parent:
            return ""
        with open(self.cert, encoding="ascii") as own:
            return own.read() + self.parent.chain()

    def revocations(self, certificates):
        with self.lock:
            for certificate in certificates:
                openssl("ca", "-batch", "-config", self.path("config"), "-revoke", certificate.cert)
            self.made += 1
            path = self.path("revoked-%d.pem" % self.made)
            openssl("ca", "-batch", "-config", self.path("config"), "-gencrl", "-out", path)
        return path


def encrypt_key(certificate, password, to):
    """The key in PKCS#8, encrypted."""
    openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", certificate.key, "-out", to, "-passout",
            "pass:" + password)
    return to


def main():
    ca = Authority(sys.argv[1])
    server, client = ca.certificate("server", subject="/CN=localhost"), ca.certificate("client")
    print("cacertfile %s\ncertfile %s\nkeyfile %s\nclient_certfile %s\nclient_keyfile %s" % (
        ca.cert, server.cert, server.key, client.cert, client.key))


if __name__ == "__main__":
    main()
