// SPDX-License-Identifier: MIT

package sam_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"samovar.example/sam"
)

// A page by way of I2P.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	session, err := sam.New(sam.Config{}).OpenStream(ctx, sam.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	client := http.Client{Transport: &http.Transport{DialContext: session.DialContext}}
	answer, err := client.Get("http://stats.i2p/")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(os.Stdout, answer.Body)
}

// A server whose name stays the same from run to run.
func ExampleStreamSession_Listen() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client := sam.New(sam.Config{})
	keys, err := client.LoadKeys(ctx, "site.keys")
	if err != nil {
		log.Fatal(err)
	}
	session, err := client.OpenStream(ctx, sam.Options{Keys: keys.Private})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	fmt.Println("http://" + session.Addr().String())
	log.Fatal(http.Serve(session.Listen(), http.FileServer(http.Dir("public"))))
}

// Errors by their codes.
func ExampleStreamSession_Dial() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	session, err := sam.New(sam.Config{}).OpenStream(ctx, sam.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	conn, err := session.Dial(ctx, "irc.postman.i2p")
	switch {
	case errors.Is(err, sam.ErrCantReachPeer), errors.Is(err, sam.ErrTimeout):
		log.Fatal("not there now: ", err)
	case err != nil:
		log.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintln(conn, "NICK gopher")
	_ = conn.CloseWrite() // the peer sees the end; we can still read
	_, _ = io.Copy(os.Stdout, conn)
}

// Datagrams that prove who sent them.
func ExampleClient_OpenDatagram() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client := sam.New(sam.Config{})
	session, err := client.OpenDatagram(ctx, sam.DatagramOptions{Style: sam.Datagram2})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	peer, err := client.Lookup(ctx, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if _, err := session.WriteTo([]byte("ping"), peer); err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 32*1024)
	n, from, err := session.ReadFrom(buffer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s says %q\n", from, buffer[:n])
}

// Streams and datagrams of one destination.
func ExampleClient_OpenPrimary() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	primary, err := sam.New(sam.Config{}).OpenPrimary(ctx, sam.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer primary.Close()
	streams, err := primary.AddStream(ctx, sam.Options{})
	if err != nil {
		log.Fatal(err)
	}
	datagrams, err := primary.AddDatagram(ctx, sam.DatagramOptions{Style: sam.Datagram})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(streams.Addr(), datagrams.LocalAddr())
}
