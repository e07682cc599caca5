"""The peers we measure ourselves against, each as a program of its own."""
