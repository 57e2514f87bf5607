"""Neo4j Community, from Maven Central: fetched for demo and tests, never shipped (it is GPLv3)."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from reconcile.errors import ReconcileError
from reconcile.sandbox import processes
from reconcile.sandbox.files import ARTIFACTS, cached, read_sums, verify
from reconcile.sandbox.server import Login, Server

VERSION = "5.26.12"
USER = "neo4j"
JDK = "openjdk-17-jre-headless"

_OPENS = ("java.nio", "java.io", "java.lang", "sun.nio.ch")

_CONFIGURATION = """\
server.bolt.listen_address={host}:{port}
server.bolt.advertised_address={host}:{port}
server.http.enabled=false
server.https.enabled=false
server.memory.pagecache.size=64m
server.jvm.additional=-XX:+UseSerialGC
dbms.security.auth_enabled=true
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
"""


class Neo4j(Server):
    """Neo4j 5.26 LTS Community with its one database `neo4j`, password set before the first start."""

    name = "neo4j"
    title = f"Neo4j {VERSION} Community"
    seconds = 150.0
    stopping = ((signal.SIGTERM, 40.0),)

    @cached_property
    def java(self) -> str:
        """A Java 17 or later.

        Raises:
            ReconcileError: there is none, or it is older.
        """
        home = os.environ.get("JAVA_HOME")
        if home and (Path(home) / "bin" / "java").exists():
            found = str(Path(home) / "bin" / "java")
        else:
            found = processes.tool("java", "to run Neo4j", JDK)
        said = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', said)
        if version is None or int(version[1]) < 17:
            raise ReconcileError(
                f"{found} is {version[0] if version else 'no working Java'}; Neo4j {VERSION} needs 17 or 21",
                where="sandbox",
                hint=f"install {JDK} and put it first on PATH (or set JAVA_HOME), or set RECONCILE_SANDBOX_NEO4J_URL",
            )
        return found

    def fetch(self) -> None:
        """Have the jars.

        Raises:
            ReconcileError: Java or Maven is missing, the download failed, a checksum is wrong.
        """
        _ = self.java
        jars()

    def prepare(self, login: Login) -> None:
        """Write the configuration and, before the first start, the password."""
        home, conf = self.folder / "home", self.folder / "conf"
        conf.mkdir(exist_ok=True)
        (conf / "neo4j.conf").write_text(_CONFIGURATION.format(host=processes.HOST, port=login.port))
        if not (home / "data" / "databases").exists():
            auth = home / "data" / "dbms" / "auth.ini"
            auth.parent.mkdir(parents=True, exist_ok=True)
            auth.write_text(initial_password(login.password, secrets.token_bytes(32)))

    def command(self, login: Login) -> Sequence[str]:
        """The server's main class; a simple collector and compiler start it in two thirds of the time."""
        del login  # the port stands in the configuration
        opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENS]
        return [
            self.java,
            *opens,
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Xmx512m",
            "-cp",
            f"{jars()}/*",
            "org.neo4j.server.CommunityEntryPoint",
            f"--home-dir={self.folder / 'home'}",
            f"--config-dir={self.folder / 'conf'}",
        ]

    def answers(self, login: Login) -> bool:
        """Log in over Bolt and ask the database for something."""
        if not processes.listening(login.port):
            return False
        import neo4j
        from neo4j.exceptions import DriverError, Neo4jError

        try:
            with neo4j.GraphDatabase.driver(
                f"bolt://{processes.HOST}:{login.port}",
                auth=(USER, login.password),
                connection_timeout=5,
                connection_acquisition_timeout=5,
                max_transaction_retry_time=0,
            ) as driver:
                driver.execute_query("RETURN 1", database_="neo4j")
        except (DriverError, Neo4jError, OSError):  # the port opens before the database does
            return False
        return True

    def urls(self, login: Login) -> Mapping[str, str]:
        """Bolt, user and password."""
        return {
            "NEO4J_URL": f"bolt://{processes.HOST}:{login.port}",
            "NEO4J_USER": USER,
            "NEO4J_PASSWORD": login.password,
        }


def jars() -> Path:
    """The folder of the server's jars in the cache, downloaded if it is not there."""

    def download(part: Path) -> None:
        maven = processes.tool("mvn", "to download Neo4j", "maven")
        shutil.copy(ARTIFACTS / "neo4j" / "pom.xml", part)
        command = [maven, "-B", "-q", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
        processes.fetch_with([*command, "-DincludeScope=runtime"], cwd=part, what=f"Neo4j {VERSION}")
        verify(part / "lib", read_sums(ARTIFACTS / "neo4j" / "SHA256SUMS"), f"Neo4j {VERSION}")

    return cached(f"neo4j-{VERSION}", download) / "lib"


def initial_password(password: str, salt: bytes, rounds: int = 1024) -> str:
    """The content of `data/dbms/auth.ini`, which the server reads when it first starts.

    The same as `neo4j-admin dbms set-initial-password` writes, without starting a second JVM.
    """
    digest = hashlib.sha256(salt + password.encode()).digest()
    for _ in range(rounds - 1):
        digest = hashlib.sha256(digest).digest()
    return f"{USER}:SHA-256,{digest.hex()},{salt.hex()},{rounds}:\n"
