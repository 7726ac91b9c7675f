-- What was answered to a reservation, so that the same request made again gets the same answer though prices may have
-- changed meanwhile. Outside `public`: a reply is not a fact of the shop and is not captured.
CREATE TABLE service.reservation_replies (
    order_id   uuid PRIMARY KEY,
    lines      jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
