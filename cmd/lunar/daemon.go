package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"lunar/engine"
	"lunar/mgmt/api"
	"lunar/mgmt/config"
	"lunar/reactor/host"
)

// logLevel is what is logged; a reload may change it.
var logLevel slog.LevelVar

// daemon is a running target and what it was configured by.
type daemon struct {
	engine *engine.Engine
	// file is the configuration file, empty when flags said everything.
	file string
	at   endpoints
	// reloading has one reload after the other: the last one started is the one in force.
	reloading sync.Mutex
}

// serveFlagged runs what the flags say.
func serveFlagged(f *serveFlags) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	return serve(cfg, "", endpoints{admin: f.admin})
}

// serveFile runs what a configuration file says.
func serveFile(name string) error {
	f, err := config.Load(name, host.CPUs())
	if err != nil {
		return err
	}
	logLevel.Set(f.LogLevel)
	return f.Locate(serve(f.Engine, name, endpoints{f.Admin, f.Metrics}))
}

func warn(c *engine.Config) {
	for _, w := range c.Warnings() {
		slog.Warn("configuration", "warning", w)
	}
}

// serve runs a target until a signal ends it.
func serve(cfg engine.Config, file string, at endpoints) error {
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: &logLevel})))
	// Before the portals open: a signal that comes from now on ends the daemon in
	// order.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	doors, err := at.open()
	if err != nil {
		return err
	}
	engine.Tune(len(cfg.CPUs))
	e, err := engine.Start(cfg)
	if err != nil {
		doors.close()
		return err
	}
	warn(&cfg)
	d := &daemon{engine: e, file: file, at: at}
	doors.serve(d)
	announce(e, len(cfg.Units), at)
	await(signals, e.Done(), d.hangup)
	doors.close()
	return e.Stop()
}

// await returns when a signal or a failure ends the daemon. A reload waits for
// commands to end and must not keep a signal waiting, so it runs beside; one that is
// asked for meanwhile loads what is newest then, and so stands for all others.
func await(signals <-chan os.Signal, failed <-chan struct{}, hangup func()) {
	hangups := make(chan struct{}, 1)
	defer close(hangups)
	go func() {
		for range hangups {
			hangup()
		}
	}()
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				slog.Info("stopping", "signal", s.String())
				return
			}
			select {
			case hangups <- struct{}{}:
			default:
			}
		case <-failed:
			slog.Error("a reactor ended; stopping")
			return
		}
	}
}

// hangup is SIGHUP: the configuration is loaded anew. What is wrong with it, which
// leaves everything as it was, and units that keep their size are logged.
func (d *daemon) hangup() {
	if err := d.reload(); err != nil {
		slog.Error("configuration not loaded as a whole", "error", err)
	}
}

// reload makes the target what its file says now.
func (d *daemon) reload() error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	if d.file == "" {
		return &api.Error{Code: http.StatusConflict, What: "this target was configured by flags", Remedy: "start it with --config to reload"}
	}
	f, err := config.Load(d.file, host.CPUs())
	if err != nil {
		return err
	}
	if err := d.at.keep(f); err != nil {
		return f.Locate(err)
	}
	if err := d.engine.Apply(f.Engine); err != nil {
		return f.Locate(err)
	}
	logLevel.Set(f.LogLevel)
	warn(&f.Engine)
	slog.Info("configuration loaded", "file", d.file)
	return nil
}

func announce(e *engine.Engine, luns int, asked endpoints) {
	portals := strings.Join(e.Portals(), ",")
	fmt.Printf("lunar: ready portal=%s target=%s luns=%d pid=%d\n", portals, strings.Join(e.Targets(), ","), luns, os.Getpid())
	slog.Info("serving", "ring", e.Ring(), "media", e.Describe())
	if asked.admin != "" {
		fmt.Printf("look inside:        lunar status --admin %s\n", asked.admin)
	}
	if len(e.Targets()) == 0 {
		return
	}
	target := e.Targets()[0]
	at, _, _ := strings.Cut(portals, ",")
	fmt.Printf("attach on Linux:    iscsiadm -m discovery -t sendtargets -p %s && iscsiadm -m node -T %s -p %s --login\n", at, target, at)
	fmt.Printf("attach in QEMU:     -drive file=iscsi://%s/%s/0,format=raw,if=virtio\n", at, target)
	fmt.Printf("look with libiscsi: iscsi-ls -s iscsi://%s\n", at)
}
