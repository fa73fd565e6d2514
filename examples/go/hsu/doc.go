// Package hsu makes a worker of a Go program: a process that a master starts when somebody first
// calls it, and stops when nobody needs it. The program gives its services, and what they need
// before they can serve; the package does what docs/launch-contract.md asks of a worker.
//
//	func main() {
//		s := &summarizer{}
//		err := hsu.Serve(context.Background(), hsu.Worker{
//			Name:     "summarizer",
//			Services: func(r grpc.ServiceRegistrar) { av1.RegisterInterfaceAServer(r, s) },
//			Start:    s.load,
//		})
//		if err != nil {
//			fmt.Fprintln(os.Stderr, err)
//			os.Exit(3)
//		}
//	}
//
// A program that only calls workers opens the master's gateway with [Dial] and [FindGateway].
package hsu
