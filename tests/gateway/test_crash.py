"""Killed without warning, again and again, under load: what was acknowledged is in the log, and the log is whole."""

import json
import threading
from pathlib import Path

from audit.note import Verifier
from audit.verify import verify_log
from gateway.app import open_audit_reader
from tests.parts.front import METHODS, RULES, ok
from tests.parts.gateway import GatewayProcess, Site, make_site, stored_rows
from tests.parts.issuer import Issuer
from tests.parts.raw_client import RawClient
from tests.parts.raw_upstream import RawConnection, RawUpstream

KILLS = 20
CLIENTS = 8
ANSWERS_BEFORE_A_KILL = 60


class Load:
    """Clients that send until the gateway dies, and remember every receipt."""

    def __init__(self, gateway: GatewayProcess, token: str) -> None:
        self.receipts: dict[int, bytes] = {}
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._answers = 0
        self._port = gateway.port
        self._request = (
            f"GET /raw/open/x HTTP/1.1\r\nHost: gateway.example.com\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        self._threads = [threading.Thread(target=self._send) for _ in range(CLIENTS)]

    def run_until_killed(self, gateway: GatewayProcess) -> None:
        """Send, kill the gateway in the middle of it, and return when every client has noticed."""
        for thread in self._threads:
            thread.start()
        assert self._enough.wait(20)
        gateway.kill()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        try:
            with RawClient(self._port) as client:
                while True:
                    client.send(self._request)
                    response = client.read_response()
                    assert response.status == 200, response.raw
                    index, _, leaf = response.values(b"portcullis-receipt")[0].partition(b":")
                    with self._lock:
                        self.receipts[int(index)] = bytes.fromhex(leaf.decode())
                        self._answers += 1
                        if self._answers == ANSWERS_BEFORE_A_KILL:
                            self._enough.set()
        except OSError:
            return


def test_no_acknowledged_record_is_lost_in_twenty_kills(tmp_path: Path) -> None:
    forwarded: list[bytes] = []

    def script(connection: RawConnection) -> None:
        try:
            while True:
                forwarded.append(connection.read_request())
                connection.send(ok().replace(b"Connection: close\r\n", b""))
        except OSError:
            return

    receipts: dict[int, bytes] = {}
    with Issuer() as issuer, RawUpstream(script) as upstream:
        route = {"methods": METHODS, "path": "/{rest**}", "resource": "{rest**}", "action": "use"}
        backend = {"name": "raw", "adapter": "http", "url": upstream.url, "environment": "prod", "routes": [route]}
        site = make_site(tmp_path, providers=[issuer.settings], backends=[backend], rules=RULES)
        token = issuer.token("alice", groups=["users"])
        for _ in range(KILLS):
            gateway = GatewayProcess(site)
            gateway.start()
            load = Load(gateway, token)
            load.run_until_killed(gateway)
            assert not receipts.keys() & load.receipts.keys(), "an index was given twice"
            receipts |= load.receipts
        with GatewayProcess(site):
            pass

    report = check(site, receipts)
    assert report == ""
    rows = stored_rows(site)
    decisions = {row.index for row in rows if row.kind == "decision"}
    outcomes = [json.loads(row.body) for row in rows if row.kind == "outcome"]
    assert len(receipts) >= KILLS * ANSWERS_BEFORE_A_KILL
    assert len(forwarded) <= len(decisions), "something was forwarded that no decision stands for"
    assert sorted(outcome["decision"] for outcome in outcomes) == sorted(decisions), "each decision has one outcome"
    assert any(outcome["result"] == "indeterminate" for outcome in outcomes)


def check(site: Site, receipts: dict[int, bytes]) -> str:
    """Verify the log against its own checkpoint and the callers' receipts; return the findings as text."""
    reader = open_audit_reader(f"sqlite:///{site.database}")
    try:
        report = verify_log(
            reader.rows(),
            verifier=Verifier.parse(site.verifier_key),
            checkpoint=reader.last_checkpoint(),
            head=reader.head(),
            receipts=receipts,
        )
    finally:
        reader.close()
    return "\n".join(finding.text for finding in report.findings)
