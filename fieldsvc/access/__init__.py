"""Who is calling, and what they may see: devices, accounts, sessions, codes. Only hashes of credentials are kept."""
