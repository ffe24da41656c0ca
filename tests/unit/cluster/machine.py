"""A machine that a start changes: its settings, its packet filter and its folders."""

from __future__ import annotations

from pathlib import Path

from harness.cluster import firewall, footprint

RULES = Path(__file__).parent / "rules"
DOCKER = (RULES / "docker-20.txt").read_text()
FORWARD, PANIC, BRIDGE = "net.ipv4.ip_forward", "kernel.panic", "net.bridge.bridge-nf-call-iptables"
FOUND = {FORWARD: "0", PANIC: "0", "vm.overcommit_memory": "0", "net.ipv6.conf.all.forwarding": "0"}


class Host:
    """A machine's settings, its packet filter and its folders; `write` changes a setting."""

    def __init__(self, root: Path) -> None:
        self.root, self.restored = root, dict[str, str]()
        self.rules: dict[str, str | None] = dict.fromkeys(firewall.PROGRAMS, "")
        self.files = [root / "etc" / "docker" / "key.json", root / "etc" / "docker"]
        self.groups = root / "cgroup"
        self.interfaces = ["virbr0"]
        self.lines: list[str] = []
        (self.groups / "cpu").mkdir(parents=True)
        self.write(FOUND)

    def write(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            path = self.root / "sys" / name.replace(".", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")

    def configure(self, text: str) -> None:
        (self.root / "sysctl.d").mkdir(exist_ok=True)
        (self.root / "sysctl.d" / "90-own.conf").write_text(text)

    def read(self, name: str) -> str:
        return (self.root / "sys" / name.replace(".", "/")).read_text().strip()

    def docker_starts(self) -> None:
        self.write({FORWARD: "1"})
        self.rules["iptables"] = DOCKER
        self.files[0].parent.mkdir(parents=True, exist_ok=True)
        self.files[0].write_text("{}")
        (self.groups / "cpu" / "docker" / "some-container").mkdir(parents=True)

    def give_back(self, part: str) -> list[str]:
        self.lines.clear()
        footprint.give_back(part, self.lines.append)
        return self.lines
