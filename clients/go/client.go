// SPDX-License-Identifier: MIT

package sam

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// lineMax bounds an answer of the router.
const lineMax = 64 * 1024

// Config says where the bridge is. The zero value is a router on this machine.
type Config struct {
	// Address of the bridge, or the path of its Unix socket if it begins with a slash. Default 127.0.0.1:7656.
	Address string
	// UDPAddress takes datagrams in. Default: the port below that of Address.
	UDPAddress string
	// User and Password, if the bridge asks for them.
	User, Password string
	// TLS settings, if the bridge speaks TLS.
	TLS *tls.Config
	// Dial makes connections in place of net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// HandshakeTimeout bounds connecting and HELLO. Default 30 s.
	HandshakeTimeout time.Duration
}

// Client makes sessions and asks for names. It holds no connection of its own and is safe for use by many.
type Client struct {
	config Config
}

// New returns a client; nothing is connected before it is used.
func New(config Config) *Client {
	if config.Address == "" {
		config.Address = "127.0.0.1:7656"
	}
	if config.HandshakeTimeout == 0 {
		config.HandshakeTimeout = 30 * time.Second
	}
	return &Client{config: config}
}

// conn is a connection to the bridge after HELLO.
type conn struct {
	net.Conn
	reader  *bufio.Reader
	version string
}

// Read keeps what came behind an answer.
func (c *conn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// line reads one answer.
func (c *conn) line() (string, error) {
	var all []byte
	for {
		part, err := c.reader.ReadSlice('\n')
		all = append(all, part...)
		switch {
		case err == nil:
			return strings.TrimRight(string(all), "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			if errors.Is(err, io.EOF) && len(all) == 0 {
				return "", io.EOF
			}
			return "", fmt.Errorf("the router broke off: %w", err)
		case len(all) > lineMax:
			return "", fmt.Errorf("%w: longer than %d bytes", ErrProtocol, lineMax)
		}
	}
}

// ask sends a command and reads its answer, which has to be good.
func (c *conn) ask(command string) (reply, error) {
	if _, err := io.WriteString(c.Conn, command+"\n"); err != nil {
		return reply{}, err
	}
	for {
		line, err := c.line()
		if errors.Is(err, io.EOF) {
			word, _, _ := strings.Cut(command, " ")
			return reply{}, fmt.Errorf("the router closed the connection in place of an answer to %s: %w", word, err)
		}
		if err != nil {
			return reply{}, err
		}
		if !isPing(line) {
			return answerTo(command, line)
		}
		if err := c.pong(line); err != nil {
			return reply{}, err
		}
	}
}

func isPing(line string) bool { return line == "PING" || strings.HasPrefix(line, "PING ") }

func (c *conn) pong(ping string) error {
	_, err := io.WriteString(c.Conn, "PONG"+strings.TrimPrefix(ping, "PING")+"\n")
	return err
}

// guard runs work, which uses the connection, and breaks it off when the context ends.
func guard(ctx context.Context, c net.Conn, work func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	err := work()
	if !stop() && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// connect opens a connection and says HELLO.
func (cl *Client) connect(ctx context.Context) (*conn, error) {
	if strings.ContainsAny(cl.config.User+cl.config.Password, "\r\n\x00") {
		return nil, errors.New("user and password cannot have line ends")
	}
	ctx, cancel := context.WithTimeout(ctx, cl.config.HandshakeTimeout)
	defer cancel()
	dial := cl.config.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	network := "tcp"
	if strings.HasPrefix(cl.config.Address, "/") {
		network = "unix"
	}
	raw, err := dial(ctx, network, cl.config.Address)
	if err != nil {
		return nil, fmt.Errorf("no SAM bridge at %s: %w", cl.config.Address, err)
	}
	if cl.config.TLS != nil {
		settings := cl.config.TLS.Clone()
		if settings.ServerName == "" {
			settings.ServerName, _, _ = net.SplitHostPort(cl.config.Address)
		}
		raw = tls.Client(raw, settings)
	}
	c := &conn{Conn: raw, reader: bufio.NewReaderSize(raw, 4096)}
	hello := "HELLO VERSION MIN=3.0 MAX=3.3"
	if cl.config.User != "" {
		hello += " USER=" + quote(cl.config.User) + " PASSWORD=" + quote(cl.config.Password)
	}
	err = guard(ctx, c, func() error {
		answer, err := c.ask(hello)
		c.version = answer.get("VERSION")
		return err
	})
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return c, nil
}

// query asks one thing on a connection of its own.
func (cl *Client) query(ctx context.Context, command string) (reply, error) {
	c, err := cl.connect(ctx)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	var answer reply
	err = guard(ctx, c, func() error {
		answer, err = c.ask(command)
		return err
	})
	return answer, err
}

// Version is what the bridge and this package agree on, as "3.3".
func (cl *Client) Version(ctx context.Context) (string, error) {
	c, err := cl.connect(ctx)
	if err != nil {
		return "", err
	}
	return c.version, c.Close()
}

// GenerateKeys makes a new destination. Signature type 7 (Ed25519) is what everybody understands.
func (cl *Client) GenerateKeys(ctx context.Context, signatureType int) (Keys, error) {
	answer, err := cl.query(ctx, "DEST GENERATE SIGNATURE_TYPE="+strconv.Itoa(signatureType))
	if err != nil {
		return Keys{}, err
	}
	keys := Keys{Public: answer.get("PUB"), Private: answer.get("PRIV")}
	if keys.Public == "" || keys.Private == "" {
		return Keys{}, fmt.Errorf("%w: DEST REPLY without keys", ErrProtocol)
	}
	return keys, nil
}

// Lookup finds the destination behind a host name or a .b32.i2p name.
func (cl *Client) Lookup(ctx context.Context, name string) (Addr, error) {
	addr, _, err := cl.lookup(ctx, name, false)
	return addr, err
}

// LookupOptions finds the destination and the options of its lease set, service records among them. Routers before
// API 0.9.66 give none.
func (cl *Client) LookupOptions(ctx context.Context, name string) (Addr, map[string]string, error) {
	return cl.lookup(ctx, name, true)
}

func (cl *Client) lookup(ctx context.Context, name string, options bool) (Addr, map[string]string, error) {
	if err := plain("name", name); err != nil {
		return Addr{}, nil, err
	}
	command := "NAMING LOOKUP NAME=" + name
	if options {
		command += " OPTIONS=true"
	}
	answer, err := cl.query(ctx, command)
	if err != nil {
		return Addr{}, nil, err
	}
	found := map[string]string{}
	for _, pair := range answer.pairs {
		if key, ok := strings.CutPrefix(pair[0], "OPTION:"); ok {
			found[key] = pair[1]
		}
	}
	if answer.get("VALUE") == "" {
		return Addr{}, nil, fmt.Errorf("%w: NAMING REPLY without a destination", ErrProtocol)
	}
	return Addr{Dest: answer.get("VALUE")}, found, nil
}

// LoadKeys reads private keys from a file, or makes new ones and writes them there, readable by the owner alone.
func (cl *Client) LoadKeys(ctx context.Context, path string) (Keys, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		private := strings.TrimSpace(string(text))
		public, err := PublicOf(private)
		if err != nil {
			return Keys{}, fmt.Errorf("%s: %w", path, err)
		}
		return Keys{Public: public, Private: private}, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return Keys{}, err
	}
	keys, err := cl.GenerateKeys(ctx, 7)
	if err != nil {
		return Keys{}, err
	}
	return keys, writePrivate(path, keys.Private+"\n")
}

// writePrivate makes a file that is there whole or not at all, and that only its owner can read.
func writePrivate(path, text string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
	}
	return err
}

func randomID() string {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand aborts the program instead
	return "go-" + hex.EncodeToString(raw[:])
}

// plain refuses what would be more than one word of a command.
func plain(what, text string) error {
	bad := func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r == 0x7f }
	if text == "" || strings.ContainsFunc(text, bad) {
		return fmt.Errorf("%.80q cannot be a %s", text, what)
	}
	return nil
}

func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
