"""The HTTP service. It never imports training, nor any library that only training needs."""
