"""Images and their labels: CIFAR-100, and a stand-in drawn from fonts."""
