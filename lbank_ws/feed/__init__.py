"""From the exchange to the callback: one half decides, the other half waits.

Deciding, without socket, thread or clock: `session`, `subscriptions`, `backoff`.
Doing: `connection` (the socket thread), `dial`, `stream`, `dispatch` (the callback thread), `clock`.
"""
