"""What can be asked of the marts and what is answered. Ranges are days in UTC, both ends included; money is a string."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.analytics.series import Granularity
from services.kit.schema import Currency, broken

EARLIEST, LATEST = date(2000, 1, 1), date(2099, 12, 31)
DEFAULT_DAYS = 30
MAX_DAYS = 3660
MAX_POINTS = 750
MAX_COHORTS = 36
_DAYS = {"day": 1, "week": 7, "month": 28}


def _today() -> date:
    return datetime.now(UTC).date()


Day = Annotated[date, Field(ge=EARLIEST, le=LATEST, json_schema_extra={"pattern": "^20[0-9]{2}-[0-9]{2}-[0-9]{2}$"})]
Month = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]


class Range(BaseModel):
    """A range of days; the last 30 when none is given. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: Day = Field(
        alias="from", default_factory=lambda: _today() - timedelta(days=DEFAULT_DAYS - 1), description="first day"
    )
    last: Day = Field(alias="to", default_factory=_today, description="last day")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.last:
            raise broken("from is after to")
        if (self.last - self.first).days >= MAX_DAYS:
            raise broken(f"the range is longer than {MAX_DAYS} days")
        return self


class RevenueQuery(Range):
    granularity: Granularity = "day"
    currency: Currency = "EUR"

    @model_validator(mode="after")
    def _not_too_fine(self) -> Self:
        if (self.last - self.first).days // _DAYS[self.granularity] >= MAX_POINTS:
            raise broken(f"the range has more than {MAX_POINTS} points; choose a coarser granularity")
        return self


class TopProductsQuery(Range):
    by: Literal["units", "amount"] = "units"
    currency: Currency = "EUR"
    limit: Annotated[int, Field(ge=1, le=100)] = 10


class FunnelQuery(Range):
    within_seconds: Annotated[
        int, Field(ge=1, le=7 * 86400, description="from the first step to the last; a slower session stops on its way")
    ] = 86400


class CohortsQuery(BaseModel):
    """Months of first orders, `YYYY-MM`; the last twelve when none is given."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: Month = Field(
        alias="from",
        default_factory=lambda: f"{_today().replace(day=1) - timedelta(days=334):%Y-%m}",
        description="first month, YYYY-MM",
    )
    last: Month = Field(alias="to", default_factory=lambda: f"{_today():%Y-%m}", description="last month, YYYY-MM")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        first, last = self.months
        if first > last:
            raise broken("from is after to")
        if (last.year - first.year) * 12 + last.month - first.month >= MAX_COHORTS:
            raise broken(f"at most {MAX_COHORTS} months at once")
        return self

    @property
    def months(self) -> tuple[date, date]:
        """The first days of the two months."""
        return date.fromisoformat(f"{self.first}-01"), date.fromisoformat(f"{self.last}-01")


class NoParameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dated(BaseModel):
    as_of: datetime | None = Field(
        description="state of the source when the mart was last built (or of the newest event); null while it is empty"
    )


class RevenuePoint(BaseModel):
    first: date
    last: date
    whole: bool = Field(description="false where the range cuts the week or month")
    orders: int
    cancelled_orders: int
    units: int
    gross_revenue: str = Field(description="decimal with two places", examples=["1249.90"])
    refunds: str = Field(description="what went back of these sales, whenever it went back")
    net_revenue: str
    refunds_issued: str = Field(description="what went back on these days, of sales of any day")
    average_order_value: str | None = Field(description="null without sales")


class Revenue(Dated):
    currency: str
    granularity: Granularity
    points: list[RevenuePoint] = Field(description="without a gap, oldest first")


class TopProduct(BaseModel):
    product_id: str
    sku: str
    name: str
    units: int
    orders: int
    amount: str = Field(description="sum of the order lines, before discount and shipping")


class TopProducts(Dated):
    currency: str
    items: list[TopProduct]


class FunnelStep(BaseModel):
    step: Literal["product_view", "cart_add", "order_placed"]
    sessions: int = Field(description="sessions that came this far, in this order")
    of_previous: float | None = Field(description="share of the step before; null when nobody came that far")
    of_first: float | None


class Funnel(Dated):
    sessions: int = Field(description="sessions with any event")
    steps: list[FunnelStep]


class Retained(BaseModel):
    month: int = Field(description="months since the first order's month, which is 0")
    customers: int = Field(description="who bought in that month")
    share: float
    whole: bool = Field(description="false for the month that is still running")


class Cohort(BaseModel):
    month: str = Field(examples=["2026-01"])
    customers: int
    retention: list[Retained]


class Cohorts(Dated):
    cohorts: list[Cohort]


class Customers(Dated):
    known: int = Field(description="registered or named by an order")
    registered: int
    deleted: int = Field(description="gone, but named by an order")
    with_orders: int = Field(description="with at least one sale")
    repeat: int = Field(description="with more than one")
    with_marketing_consent: int
