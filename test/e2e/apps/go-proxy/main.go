// SPDX-License-Identifier: Apache-2.0

// Command go-proxy stands between a client and a service: go-proxy tcp|http LISTEN SERVICE.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	kind, listen, service := os.Args[1], os.Args[2], os.Args[3]
	listener, err := net.Listen("tcp4", listen)
	if err == nil && kind == "http" {
		err = http.Serve(listener, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: service}))
	}
	for err == nil {
		var client net.Conn
		if client, err = listener.Accept(); err == nil {
			go pass(client.(*net.TCPConn), service)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func pass(client *net.TCPConn, service string) {
	defer client.Close()
	dialled, err := net.Dial("tcp4", service)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	server := dialled.(*net.TCPConn)
	defer server.Close()
	ended := make(chan struct{})
	go func() {
		copyAll(server, client)
		close(ended)
	}()
	copyAll(client, server)
	<-ended
}

// Between two TCP connections io.Copy asks the kernel to splice.
func copyAll(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	to.CloseWrite()
}
