package hsu

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// maxUnixPath is the longest Unix path of the contract, in bytes.
const maxUnixPath = 100

const addressCure = "write unix:<absolute path> or tcp:<host>:<port>, such as tcp:127.0.0.1:0"

// An address is where a server listens: network and target as package net takes them.
type address struct {
	network, target string
}

// parseAddress reads "unix:/run/x.sock" or "tcp:127.0.0.1:7000".
func parseAddress(text string) (address, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch kind {
	case "unix":
		if err := checkPath(rest); err != nil {
			return address{}, fmt.Errorf("address %q: %w", text, err)
		}
		return address{"unix", rest}, nil
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil || host == "" {
			return address{}, fmt.Errorf("address %q: no host with a port; %s", text, addressCure)
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return address{}, fmt.Errorf("address %q: %q is not a port; %s", text, port, addressCure)
		}
		return address{"tcp", net.JoinHostPort(host, port)}, nil
	}
	return address{}, fmt.Errorf("address %q: neither a Unix path nor TCP; %s", text, addressCure)
}

func checkPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("the path is not absolute; " + addressCure)
	}
	if len(path) > maxUnixPath {
		return fmt.Errorf("the path has %d bytes, %d are possible; choose a shorter folder",
			len(path), maxUnixPath)
	}
	if strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r > '~' }) {
		return errors.New("the path holds something else than printable ASCII; choose another folder")
	}
	return nil
}

func (a address) String() string {
	return a.network + ":" + a.target
}

// isLocal tells whether only this machine can reach the address.
func (a address) isLocal() bool {
	if a.network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(a.target)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// listen opens the address, and says what it is: port 0 has become the true one.
func (a address) listen() (net.Listener, address, error) {
	if a.network == "unix" {
		if err := removeStale(a.target); err != nil {
			return nil, a, fmt.Errorf("address %s: %w", a, err)
		}
		// What is created belongs to this user alone, from its first moment on.
		before := syscall.Umask(0o177)
		defer syscall.Umask(before)
	}
	listener, err := net.Listen(a.network, a.target)
	if err != nil {
		return nil, a, fmt.Errorf("address %s: can't listen there: %w", a, err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		host, _, _ := net.SplitHostPort(a.target)
		a.target = net.JoinHostPort(host, strconv.Itoa(tcp.Port))
	}
	return listener, a, nil
}

// removeStale removes a socket that nobody listens at; anything else stays, and is an error.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("a file that is no socket is there; remove it")
	}
	probe, err := net.Dial("unix", path)
	if err == nil {
		probe.Close()
		return errors.New("in use by another server; choose another path")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
