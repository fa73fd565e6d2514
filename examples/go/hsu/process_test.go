package hsu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestMain lets the tests' own program be a worker, as a process of its own.
func TestMain(m *testing.M) {
	left := os.Getenv("TEST_WORKER_LEFT")
	if left == "" {
		os.Exit(m.Run())
	}
	err := Serve(context.Background(), Worker{
		Services: (&service{}).register,
		Start:    func(context.Context, Progress) error { return nil },
		Stop: func(context.Context) error {
			for range 3 {
				fmt.Println("stopping")
			}
			return os.WriteFile(left, nil, 0o600)
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

func TestWithItsMasterGoneAWorkerLeavesInOrderThoughNobodyReadsItsOutput(t *testing.T) {
	folder, err := os.MkdirTemp("", "hsu-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	at := Gateway{"unix:" + folder + "/worker.sock", testToken}
	process := exec.Command(os.Args[0])
	process.Env = []string{
		"TEST_WORKER_LEFT=" + folder + "/left", "HSU_UNIT=unit",
		"HSU_INSTANCE=" + testInstance, "HSU_LISTEN=" + at.Address, "HSU_TOKEN=" + testToken,
	}
	process.Stderr = os.Stderr
	output, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	lifeline, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer process.Process.Kill()
	// The announce line comes on stdout.
	if _, err := output.Read(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	s := &served{t: t}
	s.connect(at)
	s.start()
	output.Close()
	lifeline.Close()
	if err := process.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if _, err := os.Stat(folder + "/left"); err != nil {
		t.Errorf("it has not released what it held: %v", err)
	}
}
