"""The rooms every service shares: a pure domain, ports, adapters behind them, and the runtime."""
