package hsu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// A Gateway is where a master listens, and what lets a caller in. Calls to every interface of the
// master's units go there.
type Gateway struct {
	// Address is "unix:<absolute path>" or "tcp:<host>:<port>".
	Address string
	// Token is presented with each call; empty presents none.
	Token string
}

// FindGateway finds the master to call.
//
// where is its address, or the folder that holds its socket; when it is empty, it is in a worker the
// master that launched it, else what HSU_MASTER says. The token is the text of tokenFile; when that
// is empty, of HSU_MASTER_TOKEN, of the file that HSU_MASTER_TOKEN_FILE names, or of the file "token"
// beside the socket. A folder's own token comes before the variables.
func FindGateway(where, tokenFile string) (Gateway, error) {
	if own := ownMaster.get(); where == "" && own.Address != "" {
		return own, nil
	}
	if where == "" {
		where = os.Getenv("HSU_MASTER")
	}
	if where == "" {
		return Gateway{}, errors.New("no master is named: HSU_MASTER is not set; it is the address " +
			"or the folder that `hsu-worker master run` prints")
	}
	isFolder := !strings.HasPrefix(where, "unix:") && !strings.HasPrefix(where, "tcp:")
	if isFolder {
		folder, err := filepath.Abs(where)
		if err != nil {
			return Gateway{}, err
		}
		where = "unix:" + filepath.Join(folder, "master.sock")
	}
	at, err := parseAddress(where)
	if err != nil {
		return Gateway{}, err
	}
	if tokenFile == "" && !isFolder {
		if token := os.Getenv("HSU_MASTER_TOKEN"); token != "" {
			return gateway(at, token, "HSU_MASTER_TOKEN")
		}
		tokenFile = os.Getenv("HSU_MASTER_TOKEN_FILE")
	}
	if tokenFile == "" && at.network == "unix" {
		beside := filepath.Join(filepath.Dir(at.target), "token")
		if _, err := os.Stat(beside); err == nil || isFolder {
			tokenFile = beside
		}
	}
	if tokenFile == "" {
		return Gateway{Address: where}, nil
	}
	text, err := readSecret(tokenFile)
	if err != nil {
		return Gateway{}, err
	}
	return gateway(at, strings.TrimSpace(text), tokenFile)
}

func gateway(at address, token, source string) (Gateway, error) {
	if !isToken(token) {
		return Gateway{}, fmt.Errorf(
			"%s holds no token: printable ASCII without spaces is needed", source)
	}
	return Gateway{Address: at.String(), Token: token}, nil
}

// readSecret reads a file that only its owner can open.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s: other users can open it; run: chmod 600 %[1]s", path)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// Dial opens a connection to a gateway, or to a worker. Each call on it presents the token. One that
// a handler makes with its own context ends with that one's deadline, and carries its id and trace on.
//
//	gateway, err := hsu.FindGateway("", "")
//	conn, err := hsu.Dial(gateway)
//	reply, err := av1.NewInterfaceAClient(conn).Summarize(ctx, request)
//
// Whoever calls through a gateway should not try again: what it refuses, it has tried.
func Dial(gateway Gateway, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	at, err := parseAddress(gateway.Address)
	if err != nil {
		return nil, err
	}
	wait := backoff.DefaultConfig
	wait.BaseDelay, wait.MaxDelay = 100*time.Millisecond, time.Second
	standard := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		// Not by name: a path may hold what a name can't, and no proxy belongs in between.
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, at.network, at.target)
		}),
		grpc.WithPerRPCCredentials(bearer(gateway.Token)),
		grpc.WithChainUnaryInterceptor(carryOn),
		grpc.WithChainStreamInterceptor(carryOnStream),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: wait, MinConnectTimeout: 5 * time.Second}),
		grpc.WithDisableRetry(),
	}
	return grpc.NewClient("passthrough:///localhost", append(standard, options...)...)
}

// bearer is a token as grpc presents it.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if b == "" {
		return nil, nil
	}
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// The channel is a Unix socket in a private folder, or loopback.
func (b bearer) RequireTransportSecurity() bool { return false }

// carrying adds what a call carries on of the one whose handler makes it.
func carrying(ctx context.Context) context.Context {
	handled, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return ctx
	}
	sent, _ := metadata.FromOutgoingContext(ctx)
	for name, value := range handled.passedOn() {
		if len(sent[name]) == 0 {
			ctx = metadata.AppendToOutgoingContext(ctx, name, value)
		}
	}
	return ctx
}

func carryOn(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(carrying(ctx), method, request, reply, conn, options...)
}

func carryOnStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
	method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return open(carrying(ctx), desc, conn, method, options...)
}
