# SPDX-License-Identifier: MIT
"""Unix sockets and TLS of a router of our own, whose program SAMOVAR in the environment names (see run.py). It knows
nobody, so there are no sessions here: those are the same on every way in."""
from __future__ import annotations

import asyncio
import os
import shutil
import ssl
import subprocess
import tempfile
import unittest
from pathlib import Path

import samovar_sam as sam
from run import free_port

SAMOVAR = os.environ.get("SAMOVAR", "")
START_S = 30
NETWORK = ["--netid", "99", "--test-network", "--no-reseed", "--port", "0"]


@unittest.skipUnless(SAMOVAR, "no router's program: see run.py")
class Ways(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.log = (self.folder / "log").open("w+b")
        self.addCleanup(self.log.close)

    def start(self, *words: str) -> None:
        command = [SAMOVAR, "run", "--data-dir", str(self.folder / "data"), *NETWORK, *words]
        router = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.addCleanup(router.wait, 20)
        self.addCleanup(router.terminate)

    async def control(self, bridge: sam.Bridge) -> sam.Connection:
        """As soon as the router is there."""
        try:
            async with asyncio.timeout(START_S):
                while True:
                    try:
                        return await sam.control(bridge)
                    except sam.BridgeUnreachable:
                        await asyncio.sleep(0.1)
        except TimeoutError:
            self.fail((self.folder / "log").read_text())

    async def check(self, bridge: sam.Bridge) -> None:
        async with await self.control(bridge) as control:
            keys = await control.generate_keys()
            self.assertEqual(await control.lookup(keys.destination), keys.destination)
            await control.ping("over here")

    async def test_a_unix_socket(self) -> None:
        path = self.folder / "sam"
        self.start("--sam", "none", "--sam-unix", str(path))
        await self.check(sam.Bridge.parse(f"unix:{path}"))

    @unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificate")
    async def test_tls(self) -> None:
        certificate, key = self.folder / "cert.pem", self.folder / "key.pem"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                   "-subj", "/CN=sam", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                   "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True)
        key.chmod(0o600)
        port = free_port()
        self.start("--sam", "none", "--sam-tls", f"127.0.0.1:{port}", "--sam-tls-cert", str(certificate),
                   "--sam-tls-key", str(key))
        trusting = ssl.create_default_context(cafile=str(certificate))
        await self.check(sam.Bridge(port=port, tls=trusting))
        with self.assertRaisesRegex(sam.BridgeUnreachable, "CERTIFICATE_VERIFY_FAILED"):
            await sam.control(sam.Bridge.parse(f"tls://127.0.0.1:{port}"))


if __name__ == "__main__":
    unittest.main()
