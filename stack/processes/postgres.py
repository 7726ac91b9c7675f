"""PostgreSQL: a primary with one database and one role per service, and a streaming replica.

Runs without a unix socket (its path may be no longer than 107 bytes, and a stale socket file blocks the next start)
and with settings outside the data folder, so that ports and memory can change without touching data.
"""

import os
import shutil
from collections.abc import Mapping

import psutil
import psycopg

from stack import health, parts
from stack.environment import HOST
from stack.ports import OFFSETS
from stack.privileges import server_account, unprivileged
from stack.process import Folder, Job, Node, Process
from stack.processes.databases import create_databases, fingerprint
from stack.processes.files import check_folder, own_folder, run_tool
from stack.secrets import write_private
from stack.settings import Settings

SLOT = "replica"

SERVER_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
password_encryption = 'scram-sha-256'
shared_buffers = '128MB'
effective_cache_size = '512MB'
random_page_cost = 1.1
jit = off
wal_level = logical
synchronous_commit = on             # off costs change data capture about 140 ms at the median
max_prepared_transactions = 20      # two-phase commits are captured like any other
max_wal_senders = 20
max_replication_slots = 20
max_slot_wal_keep_size = '8GB'      # a consumer that is gone for long loses its slot, not the disk
max_wal_size = '2GB'
wal_compression = on
hot_standby = on
hot_standby_feedback = on
log_checkpoints = off
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
"""

KEEPS_SLOTS = "sync_replication_slots = on\n"
"""Of a replica from PostgreSQL 17 on: it keeps capture's slots, so that its promotion does not lose them. The primary does not wait
for it (synchronized_standby_slots): capture would stand still where the replica is not started (`up --only`) or is down."""

ACCESS = """
# who may connect: passwords only, from this machine only
host all         all                  127.0.0.1/32 scram-sha-256
host replication replication,cdc      127.0.0.1/32 scram-sha-256
"""


def nodes(settings: Settings, secrets: Mapping[str, str], variables: Mapping[str, str]) -> list[Node]:
    """The primary, the job that makes roles and databases, and the replica."""
    admin = variables["POSTGRES_ADMIN_DSN"]
    primary = Folder(settings.home / "postgres" / "data", "PG_VERSION")
    replica = Folder(settings.home / "postgres-replica" / "data", "PG_VERSION")
    primary_port = settings.port(OFFSETS["postgres"])
    replica_port = settings.port(OFFSETS["postgres-replica"])
    streaming = health.postgres(
        admin.replace(f":{primary_port}/", f":{replica_port}/"),
        "SELECT exists(SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')",
        "is not streaming from the primary",
    )

    def prepare_primary() -> None:
        _write_settings(primary, primary_port)
        _forget_dead_postmaster(primary)
        if not primary.complete:
            _initialise(primary, secrets["postgres"])

    def prepare_replica() -> None:
        role = f"user=replication password={secrets['replication']} dbname=postgres application_name={SLOT}"
        keeps_slots = KEEPS_SLOTS if parts.postgres_version() >= parts.FAILOVER_SLOTS else ""
        _write_settings(
            replica,
            replica_port,
            f"primary_conninfo = 'host={HOST} port={primary_port} {role}'\nprimary_slot_name = '{SLOT}'\n{keeps_slots}",
        )
        _forget_dead_postmaster(replica)
        if replica.complete and _slot_is_lost(admin):
            shutil.rmtree(replica.path)
        if not replica.complete:
            _copy_primary(replica, primary_port, secrets["replication"])

    return [
        Process(
            name="postgres",
            command=_server(primary),
            health=health.postgres(admin),
            ports=(primary_port,),
            then=("databases",),
            parts=(parts.postgres(),),
            check_data=lambda: check_folder(primary),
            prepare=prepare_primary,
            stop_signal="INT",
            signal_group=False,
            stop_seconds=30,
        ),
        Job("databases", lambda: create_databases(admin, secrets), needs=("postgres",), fingerprint=fingerprint),
        Process(
            name="postgres-replica",
            command=_server(replica),
            health=streaming,
            ports=(replica_port,),
            needs=("databases",),
            parts=(parts.postgres(),),
            check_data=lambda: check_folder(replica),
            prepare=prepare_replica,
            stop_signal="INT",
            signal_group=False,
            stop_seconds=30,
        ),
    ]


def _server(folder: Folder) -> tuple[str, ...]:
    settings_file = folder.path.parent / "postgresql.conf"
    command = (str(parts.postgres().path / "postgres"), "-D", str(folder.path), "-c", f"config_file={settings_file}")
    return unprivileged(command, reach=(folder.path,))


def _write_settings(folder: Folder, port: int, more: str = "") -> None:
    own_folder(folder.path.parent)
    owner = server_account().owner
    access = folder.path.parent / "pg_hba.conf"
    identity = folder.path.parent / "pg_ident.conf"
    preload = "pg_stat_statements" if parts.postgres_has_extension("pg_stat_statements") else ""
    text = (
        f"data_directory = '{folder.path}'\nhba_file = '{access}'\nident_file = '{identity}'\nport = {port}\n"
        f"shared_preload_libraries = '{preload}'\n{SERVER_SETTINGS}{more}"
    )
    write_private(folder.path.parent / "postgresql.conf", text, owner=owner)
    write_private(access, ACCESS, owner=owner)
    write_private(identity, "", owner=owner)


def _initialise(folder: Folder, password: str) -> None:
    shutil.rmtree(folder.building, ignore_errors=True)
    password_file = folder.path.parent / "password"
    write_private(password_file, password, owner=server_account().owner)
    command = (
        str(parts.postgres().path / "initdb"),
        *("-D", str(folder.building), "-U", "postgres", f"--pwfile={password_file}"),
        *("--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8", "--locale=C.UTF-8"),
    )
    try:
        run_tool("initdb", unprivileged(command, reach=(folder.path,)))
    finally:
        password_file.unlink()
    folder.building.rename(folder.path)


def _copy_primary(folder: Folder, primary_port: int, password: str) -> None:
    shutil.rmtree(folder.building, ignore_errors=True)
    command = (
        str(parts.postgres().path / "pg_basebackup"),
        *("-h", HOST, "-p", str(primary_port), "-U", "replication", "-D", str(folder.building)),
        *("-X", "stream", "-c", "fast", "-S", SLOT, "--no-password"),
    )
    run_tool("pg_basebackup", unprivileged(command, reach=(folder.path,)), environment={"PGPASSWORD": password})
    signal = folder.building / "standby.signal"
    signal.touch()
    os.chown(signal, *server_account().owner)
    folder.building.rename(folder.path)


def _forget_dead_postmaster(folder: Folder) -> None:
    """Remove a lock file whose process is gone: after a reboot its number may be somebody else's, and postgres stops."""
    lock = folder.path / "postmaster.pid"
    if not lock.exists():
        return
    pid = int(lock.read_text().split()[0])
    if not psutil.pid_exists(pid) or psutil.Process(pid).name() != "postgres":
        lock.unlink()


def _slot_is_lost(admin: str) -> bool:
    """Whether the primary has thrown away WAL that the replica needs, or does not know the replica at all."""
    with psycopg.connect(admin) as connection:
        row = connection.execute(
            "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s", (SLOT,)
        ).fetchone()
    return row is None or row[0] is True
