module socket-bypass/test/apps/go-proxy

go 1.18
