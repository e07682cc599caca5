// River's own benchmark, linked against the newest River: burns down n no-op jobs and prints its own summary line.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/cmd/river/riverbench"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

func main() {
	url := flag.String("database-url", "", "where the jobs are")
	jobs := flag.Int("jobs", 100_000, "how many to burn down")
	flag.Parse()
	if err := burnDown(context.Background(), *url, *jobs); err != nil {
		log.Fatal(err)
	}
}

func burnDown(ctx context.Context, url string, jobs int) error {
	settings, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	settings.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return err
	}
	defer pool.Close()
	driver := riverpgxv5.New(pool)
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	return riverbench.NewBenchmarker(driver, &riverbench.Config{Logger: quiet}).Run(ctx, 0, jobs)
}
