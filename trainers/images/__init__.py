"""Deep latent Gaussian models of images: data, model, training, evaluation."""
