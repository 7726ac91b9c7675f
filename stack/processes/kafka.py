"""Kafka (one broker that is its own controller) and a Kafka Connect worker with Debezium.

Topics are never created by accident: who needs one says so. Connect reads passwords from a file of its own folder,
so that its REST API shows only references.
"""

import base64
import shutil
from collections.abc import Mapping

from stack import health, parts
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.process import Folder, Node, Process
from stack.processes.files import check_folder, run_tool
from stack.processes.jvm import LOG_SETTINGS, java_command
from stack.secrets import write_private
from stack.settings import SERVICES, Settings

BROKER = """
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
# longer than any topic: a group that comes back must find its place, or the records are gone too
offsets.retention.minutes=43200
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.retention.hours=168
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
# rows with large columns
message.max.bytes=16777216
replica.fetch.max.bytes=16777216
"""

WORKER = """
group.id=millrace-connect
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter.schemas.enable=false
config.storage.topic=_connect_configs
offset.storage.topic=_connect_offsets
status.storage.topic=_connect_status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
# the slot's confirmed position follows closely: a proof waits for it (0.33 s, at 500 ms 0.50), and it costs 1 % of a core
offset.flush.interval.ms=100
# versions make replays harmless, and exactly-once costs latency
exactly.once.source.support=disabled
topic.creation.enable=true
connector.client.config.override.policy=All
plugin.discovery=service_load
task.shutdown.graceful.timeout.ms=5000
scheduled.rebalance.max.delay.ms=0
config.providers=file
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
"""


def nodes(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> list[Node]:
    """The broker and the worker."""
    return [_broker(settings, secrets, variables), _worker(settings, secrets, variables)]


def _broker(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> Process:
    folder = settings.home / "kafka"
    data = Folder(folder / "data", "meta.properties")
    port, controller = settings.port(OFFSETS["kafka"]), settings.port(OFFSETS["kafka-controller"])
    properties, log_settings = folder / "server.properties", folder / "log4j2.properties"

    def text(log_folder: str) -> str:
        return (
            f"{BROKER}controller.quorum.voters=1@{HOST}:{controller}\n"
            f"listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}\n"
            f"advertised.listeners=PLAINTEXT://{HOST}:{port}\nlog.dirs={log_folder}\n"
        )

    def prepare() -> None:
        write_private(log_settings, LOG_SETTINGS)
        write_private(properties, text(str(data.path)))
        if data.complete:
            return
        shutil.rmtree(data.building, ignore_errors=True)
        formatting = folder / "format.properties"
        write_private(formatting, text(str(data.building)))
        cluster = base64.urlsafe_b64encode(bytes.fromhex(secrets["kafka_cluster_id"])).decode().rstrip("=")
        arguments = ("format", f"--cluster-id={cluster}", "-c", str(formatting))
        run_tool(
            "Kafka's storage tool",
            java_command("kafka.tools.StorageTool", arguments, heap="128m", log_settings=log_settings),
        )
        data.building.rename(data.path)
        formatting.unlink()

    return Process(
        name="kafka",
        command=java_command("kafka.Kafka", (str(properties),), heap="384m", log_settings=log_settings),
        health=health.kafka(variables["KAFKA_BOOTSTRAP"]),
        ports=(port, controller),
        parts=(parts.java(), parts.KAFKA),
        check_data=lambda: check_folder(data),
        prepare=prepare,
        stop_seconds=30,
        start_seconds=240,
    )


def _worker(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> Process:
    folder = settings.home / "connect"
    passwords = settings.home / "connect-secrets"
    port = settings.port(OFFSETS["connect"])
    properties, log_settings = folder / "worker.properties", folder / "log4j2.properties"

    def prepare() -> None:
        from cdc.connect.secrets import ensure  # a quarter of a second, for each command

        write_private(log_settings, LOG_SETTINGS)
        own = {f"{source}_password": secrets["cdc"] for source in SERVICES} | {"mask_key": secrets["cdc_mask_key"]}
        passwords.mkdir(parents=True, exist_ok=True, mode=0o700)
        ensure(own, passwords / "sources.properties")  # connectors start by it before anybody applies again
        write_private(
            properties,
            f"{WORKER}bootstrap.servers={variables['KAFKA_BOOTSTRAP']}\nlisteners=http://{HOST}:{port}\n"
            f"rest.advertised.host.name={HOST}\nrest.advertised.port={port}\n"
            f"plugin.path={parts.DEBEZIUM.path.parent}\nconfig.providers.file.param.allowed.paths={passwords}\n",
        )

    return Process(
        name="connect",
        command=java_command(
            "org.apache.kafka.connect.cli.ConnectDistributed",
            (str(properties),),
            heap="512m",
            log_settings=log_settings,
        ),
        health=health.connect(variables["CONNECT_URL"]),
        ports=(port,),
        needs=("kafka",),
        parts=(parts.java(), parts.KAFKA, parts.DEBEZIUM),
        prepare=prepare,
        start_seconds=240,
    )
