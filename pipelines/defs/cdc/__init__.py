"""The raw tables: external assets that change data capture writes, observed and proven here."""
