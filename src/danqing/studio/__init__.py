"""Studio: danqing as a web page and an HTTP service, on this machine or, with a token, for others.

Requests come in; pictures, or jobs that make pictures, go out. The server never decodes a picture itself: workers do,
in processes with limits. This room knows no engine and no network, only `danqing.commission`.
"""
