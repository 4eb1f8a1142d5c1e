"""How dates are written, where a template leaves it open."""
