"""What the payments service and its reconciliation are told by their environment."""

from pydantic import Field
from pydantic_settings import BaseSettings

from services.kit.retention import KeptSettings
from services.kit.settings import Dsn, Url


class ProviderSettings(BaseSettings):
    """What reconciliation by hand needs too: it answers on no port."""

    model_config = KeptSettings.model_config

    dsn: Dsn = Field(validation_alias="PAYMENTS_DSN", description="address of the payments database, as its owner")
    provider_url: Url = Field(validation_alias="PAYMENT_PROVIDER_URL", description="address of the payment provider")
    provider_timeout_s: float = Field(
        default=2.0,
        gt=0,
        validation_alias="PAYMENT_PROVIDER_TIMEOUT_S",
        description="seconds after which an answer of the provider counts as lost and is asked for by reference",
    )


class PaymentsSettings(ProviderSettings, KeptSettings):
    reconcile_every_s: float = Field(
        default=60.0,
        gt=0,
        validation_alias="PAYMENTS_RECONCILE_EVERY_S",
        description="seconds between two comparisons with the provider's list",
    )
