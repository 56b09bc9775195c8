// SPDX-License-Identifier: MIT

// Package sam speaks SAMv3 to an I2P router: streams, datagrams, sessions with several parts, and names.
//
// It works with every router that has a SAM bridge and needs nothing but the standard library. Streams are
// net.Conn and net.Listener, datagrams are net.PacketConn, and everything that waits takes a context.
//
//	client := sam.New(sam.Config{})                    // 127.0.0.1:7656
//	session, err := client.OpenStream(ctx, sam.Options{})
//	conn, err := session.Dial(ctx, "stats.i2p")        // or a .b32.i2p name, or a whole destination
//	listener := session.Listen()
//	peer, err := listener.Accept()                     // peer.RemoteAddr() says who it is
//
// A session lives as long as its Close is not called and its control connection stands; Done tells of its end.
// Tunnels are shared by everything in a session: open one and keep it, rather than one for each connection.
package sam
