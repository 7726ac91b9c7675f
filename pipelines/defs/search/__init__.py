"""The search indexes: external assets that the engine writes, proven and built anew here."""
