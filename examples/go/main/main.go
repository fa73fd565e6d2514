// Command main indexes a folder of documents with interface B, searches it, and summarises the best
// hits with interface A. It calls a master's gateway and starts nothing itself: the master does, when
// it is called.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	av1 "example.com/hsu/gen/av1"
	bv1 "example.com/hsu/gen/bv1"
	"example.com/hsu/hsu"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// summarised is how many hits are, and maxText how much of each: a text may have 2,000 sentences.
	summarised = 3
	maxText    = 50_000
)

type options struct {
	folder, query, master, tokenFile string
	hits, sentences                  int
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		if ctx.Err() != nil {
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "error:", explained(err))
		os.Exit(1)
	}
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("main", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "main [flags] FOLDER: index, search and summarise documents")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.query, "query", "", "`words` to look for")
	flags.StringVar(&o.master, "address", "",
		"`address` or folder of the master (default $HSU_MASTER)")
	flags.StringVar(&o.tokenFile, "token-file", "",
		"`file` with the master's token (default the one beside its socket)")
	flags.IntVar(&o.hits, "hits", 5, "how many to show")
	flags.IntVar(&o.sentences, "sentences", 4, "how many sentences a summary has")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	wrong := func(problem string) (options, error) {
		fmt.Fprintln(flags.Output(), problem)
		flags.Usage()
		return o, errors.New(problem)
	}
	switch {
	case flags.NArg() != 1:
		return wrong("name one folder, after the flags")
	case o.query == "":
		return wrong("-query is missing: say what to look for")
	case o.hits < 1 || o.hits > 100 || o.sentences < 1 || o.sentences > 100:
		return wrong("-hits and -sentences must be from 1 to 100")
	}
	o.folder = flags.Arg(0)
	return o, nil
}

func run(ctx context.Context, o options) error {
	gateway, err := hsu.FindGateway(o.master, o.tokenFile)
	if err != nil {
		return err
	}
	conn, err := hsu.Dial(gateway)
	if err != nil {
		return err
	}
	defer conn.Close()

	documents, err := collect(o.folder, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Printf("%d documents in %s\n", len(documents), o.folder)
	index := bv1.NewInterfaceBClient(conn)
	if err := fill(ctx, index, documents); err != nil {
		return err
	}
	hits, err := search(ctx, index, o)
	if err != nil || len(hits) == 0 {
		return err
	}
	return summarise(ctx, av1.NewInterfaceAClient(conn), hits[:min(summarised, len(hits))], o)
}

// fill brings the documents into the index, unless just these are there.
func fill(ctx context.Context, index bv1.InterfaceBClient, documents []*bv1.Document) error {
	stats, err := index.GetStats(ctx, &bv1.GetStatsRequest{})
	if err != nil {
		return err
	}
	if stats.Digest == digest(documents) {
		fmt.Println("all of them are indexed")
		return nil
	}
	stream, err := index.Ingest(ctx)
	if err != nil {
		return err
	}
	for _, document := range documents {
		// The error of a stream that has ended is in its answer.
		if err := stream.Send(&bv1.IngestRequest{Document: document}); err != nil {
			break
		}
	}
	reply, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	fmt.Printf("indexed: %d added, %d replaced, %d unchanged\n", reply.Added, reply.Replaced, reply.Unchanged)
	return nil
}

// search prints the hits as they come.
func search(ctx context.Context, index bv1.InterfaceBClient, o options) ([]*bv1.SearchResponse, error) {
	fmt.Printf("\nsearch: %s\n", o.query)
	stream, err := index.Search(ctx, &bv1.SearchRequest{Query: o.query, Limit: uint32(o.hits)})
	if err != nil {
		return nil, err
	}
	var hits []*bv1.SearchResponse
	for {
		hit, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		snippet := strings.Join(strings.Fields(hit.Snippet), " ")
		fmt.Printf("%3d  %s  %.2f\n     %s: %s\n", hit.Rank, hit.Id, hit.Score, hit.Title, snippet)
		hits = append(hits, hit)
	}
	if len(hits) == 0 {
		fmt.Println("no document has any of these words")
	}
	return hits, nil
}

// summarise prints the best sentences of the best hits, best first.
func summarise(
	ctx context.Context, summarizer av1.InterfaceAClient, hits []*bv1.SearchResponse, o options,
) error {
	var texts, names []string
	for _, hit := range hits {
		text := []rune(hit.Text)
		texts = append(texts, string(text[:min(maxText, len(text))]))
		names = append(names, hit.Id)
	}
	fmt.Printf("\nsummary of %s\n", strings.Join(names, ", "))
	stream, err := summarizer.StreamSummary(ctx, &av1.SummarizeRequest{
		Text: strings.Join(texts, "\n\n"), Sentences: uint32(o.sentences),
	})
	if err != nil {
		return err
	}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if status.Code(err) == codes.InvalidArgument {
			fmt.Println("no summary:", status.Convert(err).Message())
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Printf("%3d  %s\n", chunk.Rank, chunk.Text)
	}
}

// explained is an error as people read it.
func explained(err error) string {
	if found, ok := status.FromError(err); ok {
		return fmt.Sprintf("%s: %s", found.Code(), found.Message())
	}
	return err.Error()
}
