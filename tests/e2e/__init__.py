"""The whole of Wirescribe as processes of their own, between real clients and a real provider."""
