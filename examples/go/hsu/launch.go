package hsu

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// contractVersion is the version of docs/launch-contract.md that this package speaks.
const contractVersion = 1

var (
	instancePattern = regexp.MustCompile(`^[0-9a-f]{32}$`)
	tokenPattern    = regexp.MustCompile(`^[!-~]*$`)
)

// A launch is what a master says in the environment of a worker.
type launch struct {
	instance, unit string
	listen         address
	// announce is where the announce line goes; nil is stdout.
	announce            *os.File
	token               string
	hasLifeline         bool
	master, masterToken string
}

// takeLaunch reads the variables of a launch and deletes them, so that no child of this process
// inherits them. It returns nil when no master has launched this process; the variables then stay.
func takeLaunch() (*launch, error) {
	instance, launched := os.LookupEnv("HSU_INSTANCE")
	if !launched {
		return nil, nil
	}
	take := func(name string) string {
		value := os.Getenv(name)
		os.Unsetenv(name)
		return value
	}
	take("HSU_INSTANCE")
	l := &launch{instance: instance, unit: take("HSU_UNIT"), token: take("HSU_TOKEN")}
	listen, lifeline, announce := take("HSU_LISTEN"), take("HSU_LIFELINE"), take("HSU_ANNOUNCE_FD")
	l.master, l.masterToken = take("HSU_MASTER"), take("HSU_MASTER_TOKEN")

	var problems []error
	wrong := func(format string, arguments ...any) {
		problems = append(problems, fmt.Errorf(format, arguments...))
	}
	if !instancePattern.MatchString(instance) {
		wrong("HSU_INSTANCE=%q: not 32 hex digits in lower case", instance)
	}
	var err error
	if listen == "" {
		wrong("HSU_LISTEN is not set: write unix:<path> or tcp:127.0.0.1:0")
	} else if l.listen, err = parseAddress(listen); err != nil {
		wrong("HSU_LISTEN: %w", err)
	}
	if l.token == "" {
		// Without one the worker would answer everybody.
		wrong("HSU_TOKEN is not set: write what callers have to present")
	}
	if announce != "" {
		if l.announce, err = openAnnounce(announce); err != nil {
			wrong("HSU_ANNOUNCE_FD=%q: %w", announce, err)
		}
	}
	switch lifeline {
	case "", "stdin":
		l.hasLifeline = true
	case "none":
	default:
		wrong("HSU_LIFELINE=%q: neither \"stdin\" nor \"none\"", lifeline)
	}
	if l.master != "" {
		if _, err := parseAddress(l.master); err != nil {
			wrong("HSU_MASTER: %w", err)
		}
	}
	// Never with their values: the texts of errors end in logs.
	for name, token := range map[string]string{"HSU_TOKEN": l.token, "HSU_MASTER_TOKEN": l.masterToken} {
		if !tokenPattern.MatchString(token) {
			wrong("%s: holds something else than printable ASCII without spaces", name)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if l.master != "" {
		ownMaster.remember(Gateway{Address: l.master, Token: l.masterToken})
	}
	return l, nil
}

func openAnnounce(text string) (*os.File, error) {
	number, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, errors.New("not a descriptor's number")
	}
	// No child of this process may hold it: whoever reads it waits for its end.
	if _, err := unix.FcntlInt(uintptr(number), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
		return nil, errors.New("no such descriptor is open")
	}
	return os.NewFile(uintptr(number), "announce"), nil
}

// announceAt says that the worker answers, and where.
func (l *launch) announceAt(where address) error {
	line := fmt.Sprintf("HSU %d %s %s\n", contractVersion, l.instance, where)
	if l.announce == nil {
		_, err := os.Stdout.WriteString(line)
		return err
	}
	_, err := l.announce.WriteString(line)
	return errors.Join(err, l.announce.Close())
}

// ownMaster is the master that launched this process; the environment has it no more.
var ownMaster rememberedGateway

type rememberedGateway struct {
	mu      sync.Mutex
	gateway Gateway
}

func (r *rememberedGateway) remember(gateway Gateway) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gateway = gateway
}

func (r *rememberedGateway) get() Gateway {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gateway
}

// isToken tells whether a text can be presented as a token.
func isToken(text string) bool {
	return text != "" && tokenPattern.MatchString(text)
}
