"""ndex moves brain volumes into and out of the BOSS."""

__version__ = "2.0.0a1"
