"""What every service shares: settings, database pools, migrations, problem documents, the HTTP shell. No shop rules."""
