"""`harness agent`: what acts on the nodes."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from harness.cli import Suggesting, options

# Longer than any summary; click cuts them to what is left of a line.
LONGEST = 1000


class Whole(Suggesting):
    """A group whose commands' summaries are whole, as those of `harness` itself are."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.commands[name].get_short_help_str(LONGEST)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group("agent", cls=Whole)
def command() -> None:
    """Install or remove the agents, one a node: they do faults inside of pods and nodes, and heal them on their own."""


@command.command("install")
@click.option("--image", default="", help="Image of the agent; built here for the local cluster.")
@options.cluster
def install(image: str, context: str | None, kubeconfig: Path | None) -> None:
    """Put an agent of this version on every node; takes a second where they are there."""
    from harness.agent import install as agents
    from harness.engine import contexts
    from harness.resources import crds

    async def act() -> str:
        kube, cluster = contexts.connect(kubeconfig, context)
        async with kube:
            await crds.install(kube)
            return await agents.install(kube, cluster, image, click.echo)

    click.echo(f"the agents are ready: {anyio.run(act)}")


@command.command("image")
@click.argument("folder", type=click.Path(path_type=Path))
def image(folder: Path) -> None:
    """Write what the agents' image is built from into a new FOLDER, for a cluster that is not the local one."""
    from harness.agent import image as images

    images.write(folder)
    click.echo(f"docker build --build-arg BASE={images.PUBLISHED} --tag REGISTRY/chaos-agent:1 {folder}")


@command.command("remove")
@click.option("--force", is_flag=True, help="Also while a fault of theirs is in the cluster; it may stay broken.")
@options.cluster
def remove(force: bool, context: str | None, kubeconfig: Path | None) -> None:
    """Take the agents out of the cluster; refused while a fault is in their hand."""
    from harness.agent import install as agents
    from harness.engine import contexts

    async def act() -> None:
        kube, _ = contexts.connect(kubeconfig, context)
        async with kube:
            await agents.remove(kube, force=force)

    anyio.run(act)
    click.echo("the agents are gone")
