"""Public corpora: what each is (``data_manifests/NAME/dataset.yaml``), fetching, preparing.

One recipe file a corpus, each with ``rows(root)``: what its files and tables say, row by row, in the
columns of ``data_manifests/README.md``. ``training.corpora.form`` makes a prepared corpus of them.
"""
