// River's own benchmark, linked against the newest River: it prints its own summary line. With -seconds it works no-op jobs
// while it inserts more, as `river bench` does; with -jobs it inserts so many first and burns them down.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/cmd/river/riverbench"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

func main() {
	url := flag.String("database-url", "", "where the jobs are")
	jobs := flag.Int("jobs", 0, "how many to burn down")
	seconds := flag.Int("seconds", 0, "how long to work")
	flag.Parse()
	if err := run(context.Background(), *url, time.Duration(*seconds)*time.Second, *jobs); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string, duration time.Duration, jobs int) error {
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
	return riverbench.NewBenchmarker(driver, &riverbench.Config{Logger: quiet}).Run(ctx, duration, jobs)
}
