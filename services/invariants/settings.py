"""Where the databases are, as the role that may read them all and change nothing."""

from pydantic import Field
from pydantic_settings import BaseSettings

from services.kit.settings import Dsn, Settings


class InvariantSettings(BaseSettings):
    """Addresses of the databases that must agree."""

    model_config = Settings.model_config

    orders: Dsn = Field(validation_alias="ORDERS_AUDIT_DSN", description="address of the orders database, for reading")
    payments: Dsn = Field(
        validation_alias="PAYMENTS_AUDIT_DSN", description="address of the payments database, for reading"
    )
    products: Dsn = Field(
        validation_alias="PRODUCTS_AUDIT_DSN", description="address of the products database, for reading"
    )

    @property
    def dsns(self) -> dict[str, str]:
        """By the database's name."""
        return {"orders": self.orders, "payments": self.payments, "products": self.products}


class ProcessSettings(InvariantSettings, Settings):
    """The same for the process that looks every minute."""

    every_s: float = Field(
        default=60.0, validation_alias="INVARIANTS_EVERY_S", gt=0, description="seconds from one check to the next"
    )
