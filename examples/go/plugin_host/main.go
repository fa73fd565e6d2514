// Command plugin_host launches an HSU as a plugin, with HashiCorp's go-plugin, and has it summarise a
// text. It is what any program with such plugins does.
//
//	plugin_host -text "..." -- hsu-worker serve hsu_a_service1:App
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"time"

	av1 "example.com/hsu/gen/av1"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// handshake is how host and plugin know each other. hsu-worker takes every cookie.
var handshake = plugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "EXAMPLE_PLUGIN",
	MagicCookieValue: "summarizer",
}

// A summarizer is what the plugins of this host offer: interface A.
type summarizer struct{ plugin.NetRPCUnsupportedPlugin }

func (summarizer) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error {
	return fmt.Errorf("this program is the host")
}

func (summarizer) GRPCClient(
	_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn,
) (any, error) {
	return av1.NewInterfaceAClient(conn), nil
}

func main() {
	text := flag.String("text", "", "what to summarise")
	tls := flag.Bool("tls", false, "encrypt, and have both sides prove who they are (AutoMTLS)")
	multiplex := flag.Bool("multiplex", false, "ask for the broker's multiplexing")
	hold := flag.Bool("hold", false, "wait for the end of stdin before the plugin is ended")
	flag.Parse()
	if err := run(*text, *tls, *multiplex, *hold, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(text string, tls, multiplex, hold bool, command []string) error {
	if len(command) == 0 {
		return fmt.Errorf("name the plugin's command after --")
	}
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:     handshake,
		Plugins:             plugin.PluginSet{"summarizer": summarizer{}},
		Cmd:                 exec.Command(command[0], command[1:]...),
		AllowedProtocols:    []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:            tls,
		GRPCBrokerMultiplex: multiplex,
		SyncStdout:          prefixed{"plugin's stdout: "},
		SyncStderr:          prefixed{"plugin's stderr: "},
		Logger: hclog.New(&hclog.LoggerOptions{
			Name: "host", Level: hclog.Debug, Output: os.Stderr, JSONFormat: true,
		}),
	})
	defer func() {
		began := time.Now()
		client.Kill()
		fmt.Printf("ended after %d ms\n", time.Since(began).Milliseconds())
	}()
	protocol, err := client.Client()
	if err != nil {
		return err
	}
	if err := protocol.Ping(); err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	offered, err := protocol.Dispense("summarizer")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reply, err := offered.(av1.InterfaceAClient).Summarize(ctx, &av1.SummarizeRequest{Text: text})
	if err != nil {
		return err
	}
	fmt.Printf("version %d of the protocol; summary: %s\n", client.NegotiatedVersion(), reply.Summary)
	if hold {
		os.Stdin.Read(make([]byte, 1))
	}
	return nil
}

// prefixed writes to stdout, with a prefix.
type prefixed struct{ prefix string }

func (p prefixed) Write(data []byte) (int, error) {
	_, err := fmt.Printf("%s%q\n", p.prefix, data)
	return len(data), err
}
