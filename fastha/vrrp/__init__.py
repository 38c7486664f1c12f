"""Layer 1: the VRRP core. What can happen: `events`; what follows: `fsm`; what it asks for: `actions`, `orders`."""
