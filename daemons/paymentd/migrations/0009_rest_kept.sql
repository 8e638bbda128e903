-- Payments by code that do not stand, and of which a part of the customer's money stays with the merchant.
CREATE INDEX transactions_rest_kept ON transactions (batch) WHERE reversal = 'rest-kept';
