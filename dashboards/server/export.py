"""Dashboards as Superset has them now, with their charts: `python -m dashboards.server.export FILE SLUG...`.

Superset's own export, as JSON of file name to content; dashboards/saved.py makes files of it.
"""

import json
import sys
from pathlib import Path

import yaml
from flask import g
from superset.app import create_app


def main(file: Path, slugs: list[str]) -> int:
    """Write the export of the dashboards; 1 with one line when Superset lacks one."""
    with create_app().app_context():
        from superset import db, security_manager
        from superset.commands.dashboard.export import ExportDashboardsCommand
        from superset.models.dashboard import Dashboard

        g.user = security_manager.find_user(username="admin")
        ids = {slug: dashboard for slug, dashboard in db.session.query(Dashboard.slug, Dashboard.id) if slug in slugs}
        if missing := sorted(set(slugs) - ids.keys()):
            print(f"Superset has no dashboard with the slug {', '.join(missing)}", file=sys.stderr)
            return 1
        exported = ExportDashboardsCommand(list(ids.values())).run()
        wanted = ("charts/", "dashboards/")
        contents = {name: yaml.safe_load(content()) for name, content in exported if name.startswith(wanted)}
    file.write_text(json.dumps(contents, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
