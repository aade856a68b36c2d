package main

import (
	"context"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
)

// kwok plays the kubelet for every node, by the stages in the file that --config names.
func kwok() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// The flags for the log and the configuration file are read before the command exists, and ignored by it.
	early := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	early.ParseErrorsAllowlist.UnknownFlags = true
	ctx, _ = log.InitFlags(ctx, early)
	ctx, err := config.InitFlags(ctx, early)
	if err != nil {
		return err
	}
	command := cmd.NewCommand(ctx)
	// Cobra would take Kubernetes' own --version, which is not a boolean, for the one that goes with this field.
	command.Version = ""
	command.PersistentFlags().AddFlagSet(early)
	return command.ExecuteContext(ctx)
}
