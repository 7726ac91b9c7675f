"""Elasticsearch: one node with the core modules.

Its settings folder is made anew at each start from the distribution's, less what this runtime has not; only settings
that both this build and the full distribution know are set. The English dictionary is put where the analysis filter
`hunspell` looks for it.
"""

import os
import shutil
from collections.abc import Mapping

from stack import health, parts
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.privileges import server_account, unprivileged
from stack.process import Node, Process
from stack.processes.files import own_folder
from stack.processes.jvm import COLLECTOR
from stack.settings import Settings

HEAP = "512m"
OPTIONS = (
    COLLECTOR,
    f"-Xms{HEAP}",
    f"-Xmx{HEAP}",
    "-XX:-AlwaysPreTouch",  # the heap is taken when it is used: 300 MB less
    "-XX:TieredStopAtLevel=1",  # measured: half the processor time of a start, and less for the first 60,000 documents
)
DROPPED = ("--add-modules=jdk.incubator.vector", "-XX:+UseG1GC", "-Xlog:gc", "-XX:ErrorFile", "-XX:+HeapDump")
"""Lines of the distribution's jvm.options that do not fit: a module that the runtime lacks, another collector, and
files written beside the program."""


def nodes(settings: Settings, variables: Mapping[str, str]) -> list[Node]:
    """The node."""
    folder = settings.home / "elasticsearch"
    configuration = folder / "config"
    port, transport = settings.port(OFFSETS["elasticsearch"]), settings.port(OFFSETS["elasticsearch-transport"])
    program = parts.ELASTICSEARCH.path / "bin" / "elasticsearch"

    def prepare() -> None:
        for name in ("", "data", "logs", "backups", "tmp"):
            own_folder(folder / name)
        shutil.rmtree(configuration, ignore_errors=True)
        own_folder(configuration)
        source = parts.ELASTICSEARCH.path / "config"
        for name in ("log4j2.properties", "roles.yml", "role_mapping.yml", "users", "users_roles"):
            shutil.copyfile(source / name, configuration / name)
        options = (source / "jvm.options").read_text().splitlines()
        kept = [line for line in options if not any(dropped in line for dropped in DROPPED)]
        kept += [*OPTIONS, f"-XX:ErrorFile={folder}/logs/hs_err_pid%p.log"]
        (configuration / "jvm.options").write_text("\n".join([*kept, ""]))
        (configuration / "elasticsearch.yml").write_text(
            f"cluster.name: millrace\nnode.name: node-1\ndiscovery.type: single-node\nnetwork.host: {HOST}\n"
            f"http.port: {port}\ntransport.port: {transport}\nxpack.security.enabled: false\n"
            f'path.data: "{folder / "data"}"\npath.logs: "{folder / "logs"}"\npath.repo: "{folder / "backups"}"\n'
            # the launcher refuses to start on a full disk; percentages of a large disk would lock indices too early
            "cluster.routing.allocation.disk.threshold_enabled: false\n"
        )
        words = configuration / "hunspell" / "en_US"
        words.mkdir(parents=True)
        for suffix in ("aff", "dic"):
            shutil.copyfile(parts.DICTIONARY.path / f"index.{suffix}", words / f"en_US.{suffix}")
        for path in configuration.rglob("*"):
            os.chown(path, *server_account().owner)

    return [
        Process(
            name="elasticsearch",
            command=unprivileged((str(program),), reach=(parts.ELASTICSEARCH.path, parts.java().path, folder)),
            health=health.http(
                f"{variables['ELASTICSEARCH_URL']}/_cluster/health?wait_for_status=yellow&timeout=2s",
                contains='"timed_out":false',
            ),
            ports=(port, transport),
            environment={
                "ES_JAVA_HOME": str(parts.java().path),
                "ES_PATH_CONF": str(configuration),
                "ES_TMPDIR": str(folder / "tmp"),
                "HOME": str(folder),
                "CLI_JAVA_OPTS": f"-Xmx32m {COLLECTOR} -XX:TieredStopAtLevel=1",
            },
            parts=(parts.java(), parts.ELASTICSEARCH, parts.DICTIONARY),
            prepare=prepare,
            stop_seconds=30,
            start_seconds=300,
        )
    ]
