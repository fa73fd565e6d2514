// Command hsu_a_service is an HSU that summarises texts: interface A by TextRank. It finds what the
// Python one in examples/hsu_a_service1 finds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	av1 "example.com/hsu/gen/av1"
	"example.com/hsu/hsu"
	"google.golang.org/grpc"
)

func main() {
	listen := flag.String("listen", "",
		"where to listen when no master has launched it (default tcp:127.0.0.1:0)")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unknown argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	s := &summarizer{}
	err := hsu.Serve(context.Background(), hsu.Worker{
		Name:     "hsu-a-service",
		Version:  "0.1.0",
		Services: func(r grpc.ServiceRegistrar) { av1.RegisterInterfaceAServer(r, s) },
		Start:    s.load,
		Stop:     s.unload,
		Listen:   *listen,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
