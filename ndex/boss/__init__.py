"""The BOSS as ndex sees it: frames on the wire, the client, the resources."""
