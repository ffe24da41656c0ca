"""A certificate for the victims, and its key: it protects nothing, is trusted by nobody, and lasts a hundred years.

Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 36500 -nodes -subj /CN=victim
-addext subjectAltName=DNS:victim.example`.
"""

from __future__ import annotations

HOST = "victim.example"
CHAIN = """\
-----BEGIN CERTIFICATE-----
MIIBlTCCATqgAwIBAgIUYaL2SmQj5KxtpKt3+mVJFjTMfaowCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGdmljdGltMCAXDTI2MTEyOTIwMzIyNFoYDzIxMjYxMTA1MjAz
MjI0WjARMQ8wDQYDVQQDDAZ2aWN0aW0wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AARzs9Bg+XQiQONuN4HTwVI41fPqMGh+1DjGPuJBG6RpU18jM0K263do+B0HcxAc
NfEvg3SXtjbLf/6KlkmoLDVbo24wbDAdBgNVHQ4EFgQUTBG207ZKubSCsQWHNFab
8OCpmNYwHwYDVR0jBBgwFoAUTBG207ZKubSCsQWHNFab8OCpmNYwDwYDVR0TAQH/
BAUwAwEB/zAZBgNVHREEEjAQgg52aWN0aW0uZXhhbXBsZTAKBggqhkjOPQQDAgNJ
ADBGAiEA5gOuTC3B8KQzbH4mSuhddhMmN0BepPcnzogUhLpZjr4CIQCOF7BUJ69t
Aav6t2EsQzkaqWk0NNUqadw39VRsQvvHqg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgPONjJUdQ5rWHswAa
NPH8KcZqikuIS1Dp0jKjq86aSDehRANCAARzs9Bg+XQiQONuN4HTwVI41fPqMGh+
1DjGPuJBG6RpU18jM0K263do+B0HcxAcNfEvg3SXtjbLf/6KlkmoLDVb
-----END PRIVATE KEY-----
"""
